import type { ExitStatus } from 'forklock';
import { Forker } from './forker.js';
import { linesOf, type ScriptOptions, type ScriptResult, type ScriptScope, script } from './script.js';

/** What runs in a child. It is sent as source. */
export type Body = (scope: ScriptScope) => unknown;

/** Forks without carrying threads over: how fork() works on other libcs and architectures. */
export const ALONE = ['--single-threaded', '--v8-pool-size=1'];

export interface Forked extends ScriptResult {
  /** How the child ended, as its parent was told. Undefined: it did not. `code` and `signal` are the parent's. */
  status: ExitStatus | undefined;
}

/** Runs `body` in the child of a fork, and the parent waits for it. */
export async function inChild(
  body: Body,
  { execArgv = [], deadline = 60_000 }: Pick<ScriptOptions, 'execArgv' | 'deadline'> = {},
): Promise<Forked> {
  const start = performance.now();
  const { stdout, stderr, status, parent } = await Forker.with(execArgv).run(body.toString(), deadline);
  return {
    printed: linesOf(stdout),
    stderr,
    status,
    ...(parent ?? { code: 0, signal: null }),
    ms: performance.now() - start,
  };
}

/** Runs `body` in a process that was not forked. */
export function inPlain(body: Body, options: ScriptOptions = {}): Promise<ScriptResult> {
  return script(
    (scope, source) => {
      // biome-ignore lint/security/noGlobalEval: the source is a function of the test
      return globalThis.eval(`(${source})`)(scope);
    },
    [body.toString()],
    options,
  );
}
