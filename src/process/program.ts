import { fileURLToPath } from 'node:url';

/** What a child's node is told to be, as its first argument. */
export const AS_PROCESS = '--forklock-process';
export const AS_SERVER = '--forklock-server';

/** Numbers of the descriptors that a new node finds: the socket with its orders, and the pidfd of who ordered. */
export const SOCKET = 3;
export const PARENT = 4;

/** The file that a child's node runs: this package itself, as one file. */
export const program = { file: '' };

/** Called by the package when it is loaded: if this process was made to run it, it does. */
export function beProgram(url: string, programs: Record<string, () => void>): void {
  program.file = fileURLToPath(url);
  const run = process.argv[1] === program.file ? programs[process.argv[2]!] : undefined;
  // After the import, as what runs may import this package.
  if (run) setImmediate(run);
}
