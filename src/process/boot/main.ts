// The program that a node of forklock runs: a fork server, or a process of start method 'spawn'.
import { checked } from '../../errors.js';
import { native } from '../../native.js';
import { isReadable } from '../child/descriptors.js';
import { AS_PROCESS, AS_SERVER, begin, GREETING, type Greeting, leave, PARENT, SOCKET } from '../self/program.js';
import { type Incoming, post, take } from '../start/message.js';
import { runSpawned } from './process/bootstrap.js';
import { runServer } from './server/main.js';

const roles: Record<string, (request: Incoming) => void> = { [AS_PROCESS]: runSpawned, [AS_SERVER]: runServer };

const role = roles[process.argv[2]!];
if (!begin() || !role) leave('this program is part of forklock, which starts it when it needs it');
native(); // if it cannot be loaded, that is what is said
const request = takeRequest();
if (isReadable(PARENT)) native().announceOrphan(); // its maker may have ended before it could tell of it
setImmediate(role!, request); // when this module is there, as what it imports may ask for it

function takeRequest(): Incoming {
  try {
    checked(native().adopt(SOCKET), 'taking a socket');
    checked(native().adopt(PARENT), 'taking a pidfd');
    const message = take(SOCKET);
    post(SOCKET, { ...GREETING }, [], 0);
    if ((message?.head as Greeting | undefined)?.forklock === GREETING.forklock) return message!;
  } catch {} // there is no such socket
  return leave(`this is the program of version ${GREETING.forklock}, and it has found no orders of that version`);
}
