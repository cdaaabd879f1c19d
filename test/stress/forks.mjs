// Forks under load: `node test/stress/forks.mjs [--forks n] [--at-once n] [--soak seconds]`. The parent allocates and
// compiles without pause, serves HTTP, has timers, file system calls and lock waits pending, and forks. Nobody may be lost
// or stuck, no two processes may have the same random numbers, and the parent must be as it was. With --soak each child
// works for so long, with new code and garbage all the time, before it ends.
import { readdirSync, readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import http from 'node:http';
import { parseArgs } from 'node:util';
import { fork, Lock, Semaphore, Array as SharedArray, Value, waitpidAsync } from 'forklock';

const { values: options } = parseArgs({
  options: {
    forks: { type: 'string', default: '5000' },
    'at-once': { type: 'string', default: '4' },
    soak: { type: 'string', default: '0' },
  },
});
const forks = Number(options.forks);
const atOnce = Number(options['at-once']);
const soak = Number(options.soak) * 1000;
/** Longest that a child may take, beyond what it is told to. */
const DEADLINE = 60_000;
const REQUIRED = 0x5eed;

const firsts = new SharedArray('float64', forks);
const ends = new SharedArray('uint32', forks);
const lock = new Lock();
const counter = new Value('uint32', 0);
const never = new Semaphore(0);

/** New code and new garbage, so that the compilers and collectors have something to do. */
function churn(seed) {
  const work = new Function('n', `let s = ${seed}; for (let i = 0; i < n; i++) s = (s * 31 + i) % 65521; return s;`);
  let kept = [];
  let sum = 0;
  for (let i = 0; i < 20; i++) {
    sum += work(2000);
    for (let j = 0; j < 1000; j++) kept.push({ i, j, text: `${i}-${j}` });
    if (kept.length > 5000) kept = [];
  }
  return sum;
}

async function child(i) {
  firsts.view[i] = Math.random();
  const until = performance.now() + soak;
  do {
    churn(i + 1);
    await readFile('/proc/self/stat');
    await new Promise((resolve) => setTimeout(resolve, 1));
  } while (performance.now() < until);
  await lock.withAsync(() => {
    counter.value++;
  });
  ends.view[i] = REQUIRED;
  process.exitCode = i % 256;
}

const server = http.createServer((_request, response) => response.end('x'));
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
const { port } = server.address();

const load = { requests: 0, reads: 0, ticks: 0, failures: [], slowest: 0, waits: 0 };
let stopped = false;
const agent = new http.Agent({ keepAlive: true });
const get = () =>
  new Promise((resolve, reject) => {
    http
      .get({ host: '127.0.0.1', port, agent }, (response) => response.resume().on('end', resolve).on('error', reject))
      .on('error', reject);
  });
const forEver = async (name, step) => {
  while (!stopped) {
    const start = performance.now();
    await step().catch((error) => load.failures.push(`${name}: ${error.stack}`));
    load[name]++;
    load.slowest = Math.max(load.slowest, performance.now() - start);
  }
};
const background = [
  forEver('requests', get),
  forEver('reads', () => readFile(import.meta.filename)),
  forEver('waits', () => never.acquireAsync({ timeout: 20 })),
];
const interval = setInterval(() => load.ticks++, 2);
const churning = setInterval(() => churn(load.ticks), 1);

function count() {
  const status = readFileSync('/proc/self/status', 'utf8');
  const mappings = readFileSync('/proc/self/maps', 'utf8').split('\n').length;
  return {
    descriptors: readdirSync('/proc/self/fd').length,
    threads: Number(/Threads:\s+(\d+)/.exec(status)[1]),
    rss: Math.round(process.memoryUsage.rss() / 2 ** 20),
    mappings,
    children: readFileSync(`/proc/self/task/${process.pid}/children`, 'utf8').split(' ').filter(Boolean).length,
  };
}

async function supervise(i, pid) {
  let status = await waitpidAsync(pid, { timeout: soak + DEADLINE });
  if (!status) {
    stuck.push(pid);
    process.kill(pid, 'SIGKILL');
    status = await waitpidAsync(pid);
  }
  if (status.signal !== null || status.exitCode !== i % 256) wrong.push({ i, ...status });
}

const stuck = [];
const wrong = [];
const running = new Set();
const start = performance.now();
let before;
let isChild = false;
for (let i = 0; i < forks && !isChild; i++) {
  if (i === Math.min(100, forks >> 1)) before = count();
  while (running.size >= atOnce) await Promise.race(running);
  const pid = fork();
  if (pid === 0) {
    isChild = true;
    stopped = true;
    clearInterval(interval);
    clearInterval(churning);
    server.close();
    agent.destroy(); // a request of this very turn would wait for an answer that the parent gets
    await child(i);
  } else {
    const end = supervise(i, pid).finally(() => running.delete(end));
    running.add(end);
  }
}
if (!isChild) {
  await Promise.all(running);
  const seconds = (performance.now() - start) / 1000;
  stopped = true;
  await Promise.all(background);
  clearInterval(interval);
  clearInterval(churning);
  agent.destroy();
  server.close();
  const after = count();
  const seen = new Set(firsts.view);
  const unfinished = [...ends.view].filter((end) => end !== REQUIRED).length;
  const result = {
    node: process.version,
    forks,
    seconds: Math.round(seconds * 10) / 10,
    stuck: stuck.length,
    wrong: wrong.length,
    unfinished,
    counted: counter.value,
    sameRandomNumbers: forks - seen.size,
    parentsRandomNumber: seen.has(Math.random()) ? 1 : 0,
    failures: load.failures.length,
    load: {
      requests: load.requests,
      reads: load.reads,
      waits: load.waits,
      ticks: load.ticks,
      slowest: Math.round(load.slowest),
    },
    before,
    after,
  };
  console.log(JSON.stringify(result));
  for (const each of [...wrong.slice(0, 5), ...load.failures.slice(0, 5), ...stuck.slice(0, 5)]) console.error(each);
  const fine =
    stuck.length + wrong.length + unfinished + load.failures.length === 0 &&
    counter.value === forks &&
    seen.size === forks &&
    after.descriptors <= before.descriptors + 2 &&
    after.threads <= before.threads + 1 &&
    after.children === 0;
  process.exitCode = fine ? 0 : 1;
}
