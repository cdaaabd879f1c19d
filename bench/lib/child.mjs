// Child processes with a deadline each, and none of them left when this process ends.
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { guard } from './guard.mjs';

const running = new Set();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(1));

export const runningPids = () => [...running].map(({ pid }) => pid);

/** The path of a file of this folder. */
export const here = (path) => fileURLToPath(new URL(`../${path}`, import.meta.url));

function launch(words, deadline) {
  const [command, ...args] = [...guard, ...words];
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  running.add(child);
  const timer = setTimeout(() => {
    child.late = true;
    child.kill('SIGKILL');
  }, deadline);
  child.ended = new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => resolve({ code, signal }));
  }).finally(() => {
    clearTimeout(timer);
    running.delete(child);
  });
  child.ended.catch(() => {});
  // A child that is gone is noticed by its end, not by a broken pipe.
  child.stdin.on('error', () => {});
  child.why = () => `${words.join(' ')}: ${child.late ? `killed after ${deadline} ms` : 'ended too early'}`;
  return child;
}

/** Runs a program that prints one line of JSON. */
export async function output(command, args = [], { deadline = 30_000 } = {}) {
  const child = launch([command, ...args.map(String)], deadline);
  child.stdin.end();
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (chunk) => {
    text += chunk;
  });
  const { code } = await child.ended;
  if (code !== 0) throw new Error(child.why());
  return JSON.parse(text);
}

function talkTo(words, first, deadline) {
  const child = launch(words, deadline);
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const talk = {
    pid: child.pid,
    ended: child.ended,
    tell: (message) => child.stdin.write(`${JSON.stringify(message)}\n`),
    async next() {
      const { done, value } = await lines.next();
      if (done) throw new Error(child.why());
      return JSON.parse(value);
    },
    /** Tells it something, and returns its answer. */
    async ask(message) {
      talk.tell(message);
      return talk.next();
    },
    kill: (signal = 'SIGKILL') => child.kill(signal),
    async stop() {
      child.stdin.end();
      const timer = setTimeout(() => child.kill('SIGKILL'), 2000);
      const end = await child.ended;
      clearTimeout(timer);
      return end;
    },
  };
  talk.tell(first);
  return talk;
}

/**
 * Starts a program of this folder that talks in lines of JSON: `tell` sends one, `next` waits for the next one.
 * The child ends when its standard input does, so it cannot outlive this process either.
 */
export function start(program, first, { deadline = 120_000, flags = [] } = {}) {
  const words = [process.execPath, '--no-warnings', ...flags, here(`programs/${program}.mjs`)];
  return talkTo(words, first, deadline);
}

/** The same with a program in python/. */
export function startPython(program, first, { deadline = 120_000 } = {}) {
  return talkTo(['python3', '-B', here(`python/${program}.py`)], first, deadline);
}
