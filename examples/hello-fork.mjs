// fork(): called once, returns twice.
//
// Both processes go on behind the call, with the same variables. The parent gets the pid of the child, the child gets 0.
//
//   node examples/hello-fork.mjs
import { fork, getpid, getppid, waitpid } from 'forklock';

console.log(`before the fork: I am ${getpid()}, my parent is ${getppid()}`);

const pid = fork();

if (pid === 0) {
  console.log(`child: I am ${getpid()}, my parent is ${getppid()}`);
  process.exitCode = 7;
} else {
  const { exitCode } = waitpid(pid); // blocks; `await waitpidAsync(pid)` does not
  console.log(`parent: I am ${getpid()}, my child ${pid} ended with exit code ${exitCode}`);
}
