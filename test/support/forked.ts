import type { ExitStatus } from 'forklock';
import { type ScriptOptions, type ScriptResult, type ScriptScope, script } from './script.js';

/** What runs in a child. It is sent as source. */
export type Body = (scope: ScriptScope) => unknown;

/** Forks without carrying threads over: how fork() works on other libcs and architectures. */
export const ALONE = ['--single-threaded', '--v8-pool-size=1'];

export interface Forked extends ScriptResult {
  /** How the child ended, as its parent was told. Undefined: it did not. */
  status: ExitStatus | undefined;
}

/** Runs `body` in the child of a fork, and the parent waits for it. `printed` is the child's alone. */
export async function inChild(body: Body, options: ScriptOptions = {}): Promise<Forked> {
  const result = await script(
    (scope, source) => {
      const pid = scope.forklock.fork();
      if (pid > 0) {
        const status = scope.forklock.waitpid(pid, { timeout: 15_000 });
        if (!status) process.kill(pid, 'SIGKILL');
        return void process.stdout.write(`\n${JSON.stringify({ status: status ?? null })}\n`);
      }
      // biome-ignore lint/security/noGlobalEval: the source is a function of the test
      return globalThis.eval(`(${source})`)(scope);
    },
    [body.toString()],
    options,
  );
  const last = result.printed.at(-1);
  if (last?.status === undefined) return { ...result, status: undefined };
  return { ...result, printed: result.printed.slice(0, -1), status: last.status ?? undefined };
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
