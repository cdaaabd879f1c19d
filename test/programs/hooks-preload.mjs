// A module for the fork server to preload, and the target that says what its hooks did.
import fs from 'node:fs';
import { getpid, registerAtFork } from 'forklock';

const done = [];
registerAtFork({
  before: () => done.push('before'),
  afterInParent: () => done.splice(0),
  afterInChild: () => done.push(getpid()),
});

export function tell() {
  fs.writeSync(1, `${JSON.stringify([...done, getpid()])}\n`);
}
