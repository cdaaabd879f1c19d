// What the snippets of docs/from-python.md become is checked with this.
import { AssertionError, deepStrictEqual } from 'node:assert/strict';

let count = 0;

export function same(line, actual, expected) {
  count += 1;
  deepStrictEqual({ line, value: actual }, { line, value: expected });
}

export async function fails(line, body, code) {
  count += 1;
  try {
    await body();
  } catch (error) {
    deepStrictEqual(code === 'Error' ? error.name : error.code, code, `${line}\n${error.stack}`);
    return;
  }
  throw new AssertionError({ message: `nothing was thrown: ${line}` });
}

export function done() {
  console.log(`checks: ${count}`);
}
