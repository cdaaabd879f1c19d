// The ways to start something and wait for its end: name → function that prepares and returns `start`. Each start() is one life, and
// tells { first, whole }: ns until its first line ran, and until it was known to have ended.
import { fork as forkNode, spawn } from 'node:child_process';
import { Worker } from 'node:worker_threads';
import { here } from './child.mjs';
import { now } from './clock.mjs';
import { forklock } from './forklock.mjs';

const { fork, getContext, RawArray, setForkserverPreload, waitpid } = forklock;

const target = [here('programs/target.mjs'), 'stamp'];
const importing = [here('programs/target-imports.mjs'), 'stamp'];

function processOf(method, target) {
  const { Process } = getContext(method);
  const shared = new RawArray('float64', 1);
  const options = target ? { target, args: [shared] } : { target: () => shared.set(0, now()) };
  return () => {
    const start = now();
    const process = new Process(options);
    process.start();
    process.join();
    const whole = now() - start;
    if (process.exitCode !== 0) throw new Error(`${process} ended with ${process.exitCode}`);
    process.close();
    return { first: shared.get(0) - start, whole };
  };
}

async function lifeOf(begin, descriptor) {
  const start = now();
  const child = begin();
  let text = '';
  child.stdio[descriptor].setEncoding('utf8').on('data', (chunk) => {
    text += chunk;
  });
  const [code, whole] = await new Promise((resolve) => child.once('exit', (code) => resolve([code, now() - start])));
  if (code !== 0) throw new Error(`a child ended with ${code}`);
  if (!child.stdio[descriptor].readableEnded) await new Promise((resolve) => child.once('close', resolve));
  return { first: Number(text) - start, whole };
}

const program = here('programs/first-line.mjs');
const PIPE = 4;
const stdio = ['ignore', 'inherit', 'inherit'];

export const starters = {
  forkserver: () => processOf('forkserver', target),
  imports: () => processOf('forkserver', importing),
  preloaded() {
    setForkserverPreload([target[0]]);
    return processOf('forkserver', target);
  },
  fork: () => processOf('fork', target),
  /** A function of this program, which only a fork can run. */
  local: () => processOf('fork'),
  bare() {
    const shared = new RawArray('float64', 1);
    return () => {
      const start = now();
      const pid = fork();
      if (pid === 0) {
        shared.set(0, now());
        process.exit(0);
      }
      const { exitCode } = waitpid(pid);
      const whole = now() - start;
      if (exitCode !== 0) throw new Error(`a child ended with ${exitCode}`);
      return { first: shared.get(0) - start, whole };
    };
  },
  spawn: () => processOf('spawn', target),
  'child_process.fork': () => () =>
    lifeOf(() => forkNode(program, [String(PIPE)], { stdio: [...stdio, 'ipc', 'pipe'] }), PIPE),
  'child_process.spawn': () => () =>
    lifeOf(() => spawn(process.execPath, [program, String(PIPE)], { stdio: [...stdio, 'ignore', 'pipe'] }), PIPE),
  worker() {
    const first = new BigInt64Array(new SharedArrayBuffer(8));
    return () =>
      new Promise((resolve, reject) => {
        const start = now();
        const worker = new Worker(here('programs/first-line-worker.mjs'), { workerData: first });
        worker.once('error', reject);
        worker.once('exit', () => resolve({ first: Number(first[0]) - start, whole: now() - start }));
      });
  },
};
