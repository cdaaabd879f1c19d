// What a forked child has in its variables is a copy. What is in shared memory is not.
//
// The child finds all variables as they were at the fork, and changes them: the parent sees nothing of it. A Value lies
// in shared memory, so both have the same one.
//
//   node examples/globals-are-not-shared.mjs
import { fork, Value, waitpid } from 'forklock';

let number = 1;
const list = ['a'];
const shared = new Value('int32', 1);

const pid = fork();

if (pid === 0) {
  number += 1;
  list.push('b');
  shared.value += 1;
  show('child');
} else {
  waitpid(pid);
  show('parent, after the child has ended');
}

function show(who) {
  console.log(`${who}: number ${number}, list [${list}], shared ${shared.value}`);
}
