// Runs test files under a condition.
import { spawnSync } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));
const logs = join(root, 'build', 'fallbacks');
const vitest = join(root, 'node_modules', 'vitest', 'vitest.mjs');

/** Why the condition is not what it should be; undefined when it is. Asked of a process that runs under it. */
function whyNot({ way, cpus, node }, command, env) {
  const [file, ...args] = command;
  const { status, stdout, stderr } = spawnSync(file, [...args, join(root, 'test/fallbacks/way.mjs')], {
    cwd: root,
    env,
    encoding: 'utf8',
    timeout: 60_000,
  });
  if (status !== 0) return stderr || `it ends with ${status}`;
  const found = JSON.parse(stdout);
  if (found.way !== way) return `it waits by ${found.way}, not by ${way}`;
  if (cpus !== undefined && found.cpus !== cpus) return `it has ${found.cpus} CPUs`;
  if (node !== undefined && !found.node.startsWith(`v${node}.`)) return `it is ${found.node}`;
  return undefined;
}

/** Passed, failed and skipped tests, and where all that was printed is. */
export function runSuite(condition, files) {
  const env = { ...process.env, ...condition.env };
  const command = condition.command();
  const not = whyNot(condition, command, env);
  if (not !== undefined) return { failure: `not the condition that it should be: ${not}` };
  mkdirSync(logs, { recursive: true });
  const log = join(logs, `${condition.name}.log`);
  const [file, ...args] = command;
  const out = openSync(log, 'w');
  const { status } = spawnSync(
    file,
    [...args, vitest, 'run', '--reporter=default', '--reporter=./test/support/closing-line.ts', ...files],
    { cwd: root, env: { ...env, NO_COLOR: '1' }, stdio: ['ignore', out, out] },
  );
  closeSync(out);
  const text = readFileSync(log, 'utf8');
  const line = /^Tests: (\d+) passed, (\d+) failed, (\d+) skipped$/m.exec(text);
  if (!line) return { failure: `vitest ended with ${status} and without a result: ${log}` };
  const [passed, failed, skipped] = line.slice(1).map(Number);
  if (failed > 0 || status !== 0) return { passed, failed, skipped, failure: failuresIn(text, log) };
  return { passed, failed, skipped };
}

/** Which tests failed and why, as vitest tells it at the end. */
function failuresIn(text, log) {
  const at = text.indexOf('Failed Tests');
  return `${at < 0 ? text.slice(-4000) : text.slice(at, at + 8000)}\n(${log})`;
}
