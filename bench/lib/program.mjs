// The other end of lib/child.mjs: lines of JSON on standard input and output.
import { writeSync } from 'node:fs';
import { createInterface } from 'node:readline';

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

/** The next line from the parent; this process ends when there is none. */
export async function hear() {
  const { done, value } = await lines.next();
  if (done) process.exit(0);
  return JSON.parse(value);
}

/** Written at once, so that it arrives although this thread blocks (or is killed) right after. */
export const say = (message) => {
  writeSync(1, `${JSON.stringify(message)}\n`);
};
