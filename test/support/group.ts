import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';

export interface GroupOptions {
  /** Milliseconds after which it is killed. */
  deadline?: number;
  env?: NodeJS.ProcessEnv;
  cwd?: string;
}

export interface GroupEnd {
  stdout: string;
  stderr: string;
  code: number | null;
  signal: string | null;
}

/**
 * Starts a command as a process group of its own, which is killed as a whole at the deadline, and when the tests end.
 * `ended` comes when all that have its output have ended.
 */
export function startGroup(
  [file, ...args]: readonly [string, ...string[]],
  { deadline = 20_000, env, cwd }: GroupOptions = {},
): { child: ChildProcessByStdio<null, Readable, Readable>; ended: Promise<GroupEnd> } {
  const child = spawn(file, args, {
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    ...(env && { env }),
    ...(cwd !== undefined && { cwd }),
  });
  const kill = (): void => {
    try {
      process.kill(-child.pid!, 'SIGKILL');
    } catch {} // nobody of the group is left
  };
  const watchdog = setTimeout(kill, deadline);
  process.once('exit', kill);
  const end = async (): Promise<GroupEnd> => {
    const [stdout, stderr, [code, signal]] = await Promise.all([
      text(child.stdout),
      text(child.stderr),
      once(child, 'close') as Promise<[number | null, string | null]>,
    ]);
    clearTimeout(watchdog);
    process.off('exit', kill);
    return { stdout, stderr, code, signal };
  };
  return { child, ended: end() };
}
