import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Readable, Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import type { ExitStatus } from 'forklock';
import type { ScriptScope } from './script.js';
import { guard } from './warden.js';

const program = fileURLToPath(new URL('../programs/script.mjs', import.meta.url));
/** What the parent writes behind what a child has written. */
const MARK = '\n(that was the child)\n';

/**
 * The parent: it forks for each line that it is sent at descriptor 3, and only blocks in between, so that nothing of one
 * child is there when the next one is forked. The child goes on as the script, with its own body.
 */
function serve(scope: ScriptScope, mark: string): unknown {
  const { forklock, fs } = scope;
  const part = Buffer.alloc(1 << 16);
  /** All of it: a child may have left the pipe such that it takes a part, or nothing for now. */
  const write = (fd: number, text: string): void => {
    for (let rest = Buffer.from(text); rest.length > 0; ) {
      try {
        rest = rest.subarray(fs.writeSync(fd, rest));
      } catch (error) {
        if ((error as { code: string }).code !== 'EAGAIN') throw error;
      }
    }
  };
  for (;;) {
    let line = '';
    while (!line.endsWith('\n')) {
      const n = fs.readSync(3, part);
      if (n === 0) return undefined;
      line += part.toString('latin1', 0, n);
    }
    const pid = forklock.fork();
    if (pid === 0) {
      fs.closeSync(3);
      // biome-ignore lint/security/noGlobalEval: the source is a function of the test
      return globalThis.eval(`(${Buffer.from(line, 'base64')})`)(scope);
    }
    const status = forklock.waitpid(pid, { timeout: 45_000 });
    if (!status) process.kill(pid, 'SIGKILL');
    write(2, mark);
    write(1, `${mark}${JSON.stringify(status ?? null)}\n`);
  }
}

/** What a stream brings, from one child to the next. */
class Part {
  text = '';
  #arrived = () => {};

  constructor(stream: Readable) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      this.text += text;
      this.#arrived();
    });
    (stream as Readable & { unref(): void }).unref();
  }

  /** What comes before the mark, and, when `follows`, the line behind it. */
  async take(follows: boolean): Promise<[string, string]> {
    for (;;) {
      const at = this.text.indexOf(MARK);
      const end = at + MARK.length;
      const line = follows ? this.text.indexOf('\n', end) : end - 1;
      if (at >= 0 && line >= 0) {
        const taken: [string, string] = [this.text.slice(0, at), this.text.slice(end, line)];
        this.text = this.text.slice(line + 1);
        return taken;
      }
      await new Promise<void>((resolve) => {
        this.#arrived = resolve;
      });
    }
  }
}

export interface Child {
  stdout: string;
  stderr: string;
  /** Undefined: it did not end, or its parent did. */
  status: ExitStatus | undefined;
  /** How the parent ended, if it did: it should not. */
  parent: { code: number | null; signal: string | null } | undefined;
}

/** A process that forks children, one after the other: a program of its own for each would take longer than most of them. */
export class Forker {
  static readonly #all = new Map<string, Forker>();
  readonly #process: ChildProcess;
  readonly #commands: Writable;
  readonly #out: Part;
  readonly #error: Part;
  readonly #ended: Promise<[number | null, string | null]>;
  alive = true;

  /** The one with these options of node. */
  static with(execArgv: readonly string[]): Forker {
    const key = execArgv.join(' ');
    let forker = Forker.#all.get(key);
    if (!forker?.alive) {
      forker = new Forker(execArgv);
      Forker.#all.set(key, forker);
    }
    return forker;
  }

  private constructor(execArgv: readonly string[]) {
    const args = [...execArgv, program, 'process', serve.toString(), JSON.stringify(MARK)];
    const child = spawn(process.execPath, args, {
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
      env: { ...process.env, NODE_OPTIONS: '' },
    });
    child.unref();
    this.#process = child;
    this.#commands = child.stdio[3] as Writable;
    (this.#commands as Writable & { unref(): void }).unref();
    this.#commands.on('error', () => {}); // it has ended, which is told otherwise
    this.#out = new Part(child.stdout!);
    this.#error = new Part(child.stderr!);
    const guarded = guard(-child.pid!);
    this.#ended = once(child, 'close') as Promise<[number | null, string | null]>;
    void this.#ended.then(() => {
      this.alive = false;
      guarded.ended();
    });
  }

  /** Runs the source of a function in a child; kills all when that takes longer than `deadline`. */
  async run(source: string, deadline: number): Promise<Child> {
    this.#commands.write(`${Buffer.from(source).toString('base64')}\n`);
    const watchdog = setTimeout(() => {
      try {
        process.kill(-this.#process.pid!, 'SIGKILL');
      } catch {} // it has just ended
    }, deadline);
    const done = Promise.all([this.#out.take(true), this.#error.take(false)]);
    const first = await Promise.race([done, this.#ended.then(() => undefined)]);
    clearTimeout(watchdog);
    if (!first) {
      const [code, signal] = await this.#ended;
      return { stdout: this.#out.text, stderr: this.#error.text, status: undefined, parent: { code, signal } };
    }
    const [[stdout, status], [stderr]] = first;
    return { stdout, stderr, status: JSON.parse(status) ?? undefined, parent: undefined };
  }
}
