// `cells.mjs LIMIT [--operations a,b] [--first] [--steps n,n]`: tries operations with so much left of one thing, and prints a
// line of JSON for each. An operation succeeds and works, or it throws an error of forklock that names the system's, and has
// changed nothing. With --first the operation is the first that this process does: it tries one step only.
import { deepStrictEqual, ok } from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { ForklockError } from 'forklock';
import { operations } from './operations.mjs';
import { inventory, LIMITS } from './system.mjs';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { operations: { type: 'string' }, first: { type: 'boolean' }, steps: { type: 'string' } },
});
const limit = LIMITS[positionals[0]];
const chosen = values.operations?.split(',') ?? Object.keys(operations);
const steps = values.steps?.split(',').map(Number) ?? limit.steps;

let peer;
async function startPeer() {
  const child = spawn(process.execPath, [fileURLToPath(new URL('./peer.mjs', import.meta.url))], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const [line] = await once(child.stdout, 'data');
  return { ...JSON.parse(line), child };
}

/** What is not needed any more is let go of: buffers, and what waits for the event loop. */
async function settle() {
  for (let i = 0; i < 4; i++) {
    globalThis.gc();
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

async function attempt(operation, state) {
  try {
    return { result: await operation.run(state) };
  } catch (error) {
    return { error };
  }
}

/** What is wrong with an error, if anything. */
function faultOf(error) {
  if (!(error instanceof ForklockError)) return `not an error of forklock: ${error?.stack ?? error}`;
  if (!/^ERR_FORKLOCK_(SYSTEM|PROCESS|FORK_UNSAFE|NO_NATIVE_BUILD)$/.test(error.code)) return `code ${error.code}`;
  if (error.code !== 'ERR_FORKLOCK_SYSTEM') return undefined;
  if (!/^E[A-Z0-9]+$/.test(error.reason) || !error.message.includes(error.reason)) return 'no name of the system';
  return undefined;
}

/** The inventory before an operation was refused for the first time. */
let first;

async function cell(operation, n) {
  const state = await operation.prepare(peer);
  await settle();
  const before = inventory();
  limit.leave(n);
  let tried;
  try {
    tried = await attempt(operation, state);
  } finally {
    limit.lift();
  }
  if (!('error' in tried)) {
    await operation.works(tried.result, state);
    return { outcome: 'works', result: typeof tried.result === 'number' ? tried.result : undefined };
  }
  const { code, message } = tried.error;
  const wrong = faultOf(tried.error);
  if (wrong !== undefined) return { outcome: 'wrong', wrong, code, message };
  await settle();
  // V8 may keep the last buffer of all for longer; a second one would be a leak.
  const after = inventory();
  first ??= before;
  ok(after.mappings <= first.mappings + 1, `${after.mappings} mappings, and ${first.mappings} at first`);
  // The fork server that the first process by it has started stays for the next one.
  if (!(values.first && operation.keeps)) deepStrictEqual({ ...after, mappings: 0 }, { ...before, mappings: 0 });
  await operation.untouched?.(state);
  const again = await operation.prepare(peer);
  await operation.works(await operation.run(again), again);
  return { outcome: 'refused', code, message };
}

const needed = chosen.some((name) => operations[name].needs === 'peer');
if (needed) peer = await startPeer();
for (const name of chosen) {
  const operation = operations[name];
  if (!values.first) {
    for (let i = 0; i < 2; i++) {
      const state = await operation.prepare(peer);
      await operation.works(await operation.run(state), state);
    }
  }
  first = undefined;
  for (const n of steps) {
    let row;
    try {
      row = await cell(operation, n);
    } catch (error) {
      row = { outcome: 'wrong', wrong: error.stack };
    }
    console.log(JSON.stringify({ name, n, ...row }));
    if (row.outcome === 'works' || values.first) break;
  }
}
peer?.child.stdin.end();
process.exit();
