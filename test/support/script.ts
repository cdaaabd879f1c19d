import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ProcessMode } from './bodies.js';
import { startGroup } from './group.js';

const program = fileURLToPath(new URL('../programs/script.mjs', import.meta.url));

export interface ScriptScope {
  forklock: typeof import('forklock');
  fs: typeof import('node:fs');
  Worker: typeof import('node:worker_threads').Worker;
  require: NodeJS.Require;
  /** The package evaluated anew, over the addon that is loaded: what a test runner gives to each test file. */
  instance(): Promise<typeof import('forklock')>;
  /** Prints a line of JSON: one of the script's results. */
  print(value: unknown): void;
  /** Collects garbage, and what is let go of by that; for `execArgv: ['--expose-gc']`. */
  collect(): Promise<void>;
  /** Open descriptors, and mappings of shared memory. */
  mapped(): { fds: number; maps: number };
}

export interface ScriptOptions {
  /** What runs it: the program itself, or a `Process` that it starts. Default `'process'`. */
  mode?: ProcessMode;
  /** Milliseconds after which it is killed. */
  deadline?: number;
  env?: NodeJS.ProcessEnv;
  execArgv?: string[];
  /** Command that runs node, with the arguments before node's own. */
  under?: string[];
}

export interface ScriptResult {
  /** What it printed. */
  // biome-ignore lint/suspicious/noExplicitAny: the test knows what it prints
  printed: any[];
  stderr: string;
  code: number | null;
  signal: string | null;
  ms: number;
}

/** Runs a function in a process of its own that has no channel to this one. It is sent as source. */
export async function script<A extends unknown[]>(
  fn: (scope: ScriptScope, ...args: A) => unknown,
  args: A,
  options: ScriptOptions = {},
): Promise<ScriptResult> {
  const { mode = 'process', env } = options;
  const scratch = mkdtempSync(join(tmpdir(), 'forklock-test-'));
  try {
    return await node([program, mode, fn.toString(), ...args.map((arg) => JSON.stringify(arg))], {
      ...options,
      env: { ...env, FORKLOCK_TEST_SCRATCH: scratch },
    });
  } finally {
    rmSync(scratch, { recursive: true });
  }
}

/** What was printed: a line of JSON each. */
// biome-ignore lint/suspicious/noExplicitAny: the test knows what it prints
export const linesOf = (stdout: string): any[] =>
  stdout
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line));

/** Runs node with a program and its arguments. */
export async function node(
  program: string[],
  { deadline = 60_000, env, execArgv = [], under = [] }: ScriptOptions = {},
): Promise<ScriptResult> {
  const start = performance.now();
  const command = [...under, process.execPath, ...execArgv, ...program] as unknown as [string, ...string[]];
  const { ended } = startGroup(command, { deadline, env: { ...process.env, NODE_OPTIONS: '', ...env } });
  const { stdout, stderr, code, signal } = await ended;
  return { printed: linesOf(stdout), stderr, code, signal, ms: performance.now() - start };
}
