// Scribbles over the live shared memory of another process: `scribble.mjs [--seed n] [--rounds n] [--seconds n]`.
// Each round has a victim of its own, of the same user, whose memory is opened by /proc/<pid>/fd. What it does there may
// fail with forklock's errors and give wrong values. It may not crash, spin, outlast its timeouts, or be impossible to end.
import { fork } from 'node:child_process';
import { closeSync, openSync, readSync, writeSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { randomOf } from './random.mjs';

const { values: options } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    rounds: { type: 'string', default: '1000000' },
    seconds: { type: 'string', default: '1000000' },
  },
});

const SCRIBBLING = 250;
const DEADLINE = 40_000;
/** Of one processor, while nothing is to do. A loop that waits for nothing takes all of it, or half on a busy machine. */
const IDLE = 0.25;

const program = fileURLToPath(new URL('./victim.mjs', import.meta.url));

/** Words that mean something somewhere: names, reservations, counts, marks. */
const WORDS = [
  0, 1, 2, -1, 0x7fffffff, -0x80000000, 0x7ff, 0x7fe, 0x3ff, 0x400, 0xfffff, 0x40000000, 0x3fffffff, 0x1000,
];

function wordOf(random, pid, old) {
  switch (random.below(7)) {
    case 0:
      return random.word() | 0;
    case 1:
      return old ^ (1 << random.below(32));
    case 2:
      return (1 + random.below(5)) | (random.below(4) << 11); // a participant's name
    case 3:
      return (pid + random.below(16)) | (random.below(2) << 31); // a thread's id
    case 4:
      return -0x80000000 | 0x7ff | (random.below(3) << 11);
    case 5:
      return random.below(40);
    default:
      return random.pick(WORDS);
  }
}

/** One write: to the words of the participants, or to those of the objects. */
function scribble(random, fd, { bytes, heapWord, pid }) {
  const heap = heapWord * 4;
  const used = Math.min(bytes, heap + 50_000);
  const place = random.below(10);
  const at =
    place === 0
      ? 64 + 4 * random.below(2)
      : place < 4
        ? 4096 + 4 * random.below(6 * 32) // slots
        : heap + 4 * random.below(place < 8 ? 900 : (used - heap) / 4);
  if (random.below(12) === 0) {
    const length = Math.min(1 + random.below(300), bytes - at);
    writeSync(fd, Buffer.from(Array.from({ length }, () => random.below(256))), 0, length, at);
    return;
  }
  const word = Buffer.alloc(4);
  readSync(fd, word, 0, 4, at);
  word.writeInt32LE(wordOf(random, pid, word.readInt32LE()));
  writeSync(fd, word, 0, 4, at);
}

async function round(seed) {
  const random = randomOf(seed);
  const env = { ...process.env, FORKLOCK_PLAIN_FUTEX: seed % 4 === 0 ? '1' : '' };
  const victim = fork(program, [String(seed)], {
    env,
    execArgv: ['--no-warnings'],
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  });
  let output = '';
  for (const stream of [victim.stdout, victim.stderr]) {
    stream.on('data', (chunk) => {
      output += chunk;
    });
  }
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    victim.kill('SIGKILL');
  }, DEADLINE);
  const ended = new Promise((resolve) => victim.once('close', (code, signal) => resolve({ code, signal })));
  const message = () => Promise.race([new Promise((resolve) => victim.once('message', resolve)), ended]);
  const ready = await message();
  if (!ready.ready) throw new Error(`the victim did not start: ${output}`);
  const fd = openSync(`/proc/${victim.pid}/fd/${ready.fd}`, 'r+');
  const result = message();
  // Some rounds are a flood, in others the victim has time between two writes.
  const [burst, pause] = random.pick([
    [200, 0],
    [20, 1],
    [1, 2],
    [1, 10],
  ]);
  const until = performance.now() + SCRIBBLING;
  while (performance.now() < until) {
    for (let i = 0; i < burst; i++) scribble(random, fd, { ...ready, pid: victim.pid });
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
  closeSync(fd);
  if (victim.connected) victim.send('rest', () => {});
  const report = await result;
  const { code, signal } = await ended;
  clearTimeout(timer);
  const problems = [...(report.unexpected ?? [])];
  if (late) problems.push(`it did not end within ${DEADLINE} ms`);
  else if (code !== 0) problems.push(`it ended with code ${code}, signal ${signal}`);
  if (report.load > IDLE) problems.push(`doing nothing took ${(report.load * 100).toFixed(0)} % of a processor`);
  if (output !== '') problems.push(output);
  return { problems, done: report.done ?? 0, failed: report.failed ?? 0 };
}

const first = Number(options.seed);
const end = performance.now() + Number(options.seconds) * 1000;
const failures = [];
let rounds = 0;
let done = 0;
let failed = 0;
for (let seed = first; rounds < Number(options.rounds) && performance.now() < end; seed++, rounds++) {
  const result = await round(seed);
  done += result.done;
  failed += result.failed;
  if (result.problems.length === 0) continue;
  failures.push(seed);
  console.error(`seed ${seed}:\n${result.problems.slice(0, 6).join('\n')}`);
}
console.log(JSON.stringify({ rounds, done, failed, failures }));
process.exitCode = failures.length === 0 ? 0 : 1;
