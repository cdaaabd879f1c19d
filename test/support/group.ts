import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { guard } from './warden.js';

export interface GroupOptions {
  /** Milliseconds after which it is killed. */
  deadline?: number;
  env?: NodeJS.ProcessEnv;
  cwd?: string;
  /** Default: nothing to read. */
  stdin?: 'ignore' | 'pipe';
}

export interface Group {
  child: ChildProcess & { stdout: Readable; stderr: Readable };
  /** Comes when all that have its output have ended. */
  ended: Promise<GroupEnd>;
}

export interface GroupEnd {
  stdout: string;
  stderr: string;
  code: number | null;
  signal: string | null;
}

/** Starts a command as a process group of its own, which is killed as a whole at the deadline, and when the tests end. */
export function startGroup(
  [file, ...args]: readonly [string, ...string[]],
  { deadline = 60_000, env, cwd, stdin = 'ignore' }: GroupOptions = {},
): Group {
  const child = spawn(file, args, {
    detached: true,
    stdio: [stdin, 'pipe', 'pipe'],
    ...(env && { env }),
    ...(cwd !== undefined && { cwd }),
  }) as Group['child'];
  const kill = (): void => {
    try {
      process.kill(-child.pid!, 'SIGKILL');
    } catch {} // nobody of the group is left
  };
  const watchdog = setTimeout(kill, deadline);
  const guarded = guard(-child.pid!);
  const end = async (): Promise<GroupEnd> => {
    const [stdout, stderr, [code, signal]] = await Promise.all([
      text(child.stdout),
      text(child.stderr),
      once(child, 'close') as Promise<[number | null, string | null]>,
    ]);
    clearTimeout(watchdog);
    guarded.ended();
    return { stdout, stderr, code, signal };
  };
  return { child, ended: end() };
}
