// A child that blocks in a lock can't notice that its parent was killed; the kernel does, where util-linux can ask it to.
import { spawnSync } from 'node:child_process';

const [command, ...args] = ['setpriv', '--pdeathsig', 'KILL'];
const works = spawnSync(command, [...args, 'true'], { timeout: 5000 }).status === 0;

/** The words to put before a command that is to die with this process. */
export const guard = works ? [command, ...args] : [];
