// One bank account, many processes and threads: what a lock is for, and what happens when its holder is killed.
import { parseArgs } from 'node:util';
import { CHECKING } from './books.js';
import { type CrashResult, crash, deposits, type Options, type PhaseResult } from './phases.js';
import { count, table } from './table.js';

const USAGE = `usage: bank.js [--processes N] [--workers N] [--transfers N] [--json]
  --processes  how many processes work as tellers (3)
  --workers    how many worker threads work beside them (3)
  --transfers  how many transfers each of them makes (20000)
  --json       print the measurements as JSON`;

// Nothing here takes nearly as long. If something is stuck, a demo that says so is better than one that hangs.
setTimeout(() => {
  console.error('the demo did not come to an end within 60 s');
  process.exit(1);
}, 60_000).unref();

const options = parse();
const unprotected = await deposits(options, false);
const locked = await deposits(options, true);
const crashed = await crash(options);
const ok = isExact(locked) && isExact(crashed) && isRecovered(crashed);

if (options.json) {
  const { json: _, ...settings } = options;
  console.log(JSON.stringify({ options: settings, unprotected, locked, crashed, ok }, null, 2));
} else {
  const { processes, workers, transfers } = options;
  console.log(`processes: ${processes}, worker threads: ${workers}, transfers of each: ${count(transfers)}\n`);
  console.log('1. One account without a lock: everybody loads the balance, adds 1, and stores it');
  console.log(`${tellers(unprotected)}\n${balance(unprotected)}\n`);
  console.log('2. The same under a Lock');
  console.log(`${tellers(locked)}\n${balance(locked)}\n`);
  console.log('3. Transfers between two accounts under a Lock; its holder is killed (SIGKILL) in the middle of one');
  console.log(`${tellers(crashed)}\n${balance(crashed)}\n\n${story(crashed)}\n`);
  console.log(
    ok ? 'Under the lock nothing was lost.' : 'FAILED: the protected books are wrong, or nobody repaired them.',
  );
}
process.exitCode = ok ? 0 : 1;

function parse(): Options & { json: boolean } {
  try {
    const { values } = parseArgs({
      options: {
        processes: { type: 'string', default: '3' },
        workers: { type: 'string', default: '3' },
        transfers: { type: 'string', default: '20000' },
        json: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    });
    if (values.help) {
      console.log(USAGE);
      process.exit(0);
    }
    const processes = whole('processes', values.processes, 0, 100);
    const workers = whole('workers', values.workers, processes === 0 ? 1 : 0, 100);
    const transfers = whole('transfers', values.transfers, 1, 1_000_000);
    return { processes, workers, transfers, json: values.json };
  } catch (error) {
    console.error(`${(error as Error).message}\n\n${USAGE}`);
    process.exit(2);
  }
}

function whole(name: string, text: string, min: number, max: number): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= min && value <= max) return value;
  throw new RangeError(`--${name} must be a whole number from ${min} to ${max}, got ${text}`);
}

function isExact({ expected, final, tellers }: PhaseResult): boolean {
  return final === expected && tellers.length === options.processes + options.workers;
}

function isRecovered({ heirs }: CrashResult): boolean {
  return heirs.length === 1 && heirs[0]!.repaired !== null;
}

function tellers(phase: PhaseResult): string {
  const rows = phase.tellers.map(({ name, transfers, milliseconds }) => [
    name,
    count(transfers),
    milliseconds.toFixed(1),
  ]);
  return table([['teller', 'transfers', 'ms'], ...rows]);
}

function balance({ expected, final, lostUpdates, transfersPerSecond }: PhaseResult): string {
  return table([
    ['', 'expected', 'final', 'lost', 'transfers/s'],
    ['balance', count(expected), count(final), count(lostUpdates), count(transfersPerSecond)],
  ]);
}

function story({ killed, waiting, brokenTotal, expected, heirs, recoveryMilliseconds, warnings }: CrashResult): string {
  const lines = [
    `${killed.name} was killed with the lock in its hand, while ${waiting} waited for it`,
    `at that moment the books said ${count(brokenTotal)} instead of ${count(expected)}`,
    `from the kill to the next owner: ${recoveryMilliseconds?.toFixed(3) ?? '-'} ms`,
  ];
  for (const { name, repaired } of heirs) {
    const what = repaired
      ? `took back a transfer of ${repaired.amount} from ${repaired.from === CHECKING ? 'checking' : 'savings'}`
      : 'found nothing to repair';
    lines.push(`${name} saw lock.ownerDied and ${what}`);
  }
  for (const { name, code, message } of warnings) lines.push(`${name} was warned: ${code}: ${message}`);
  return lines.map((line) => `  ${line}`).join('\n');
}
