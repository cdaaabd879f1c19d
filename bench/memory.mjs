// What forklock keeps: memory, descriptors and mappings after a million locks, the size of the addon, the import.
import { execFileSync } from 'node:child_process';
import { copyFileSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { here, output, start } from './lib/child.mjs';
import { entry } from './lib/forklock.mjs';
import { pick } from './lib/options.mjs';
import { topic } from './lib/report.mjs';
import { interleave } from './lib/rounds.mjs';
import { median, quantile } from './lib/stats.mjs';

const MILLION = pick(1_000_000, 20_000);
const MiB = 2 ** 20;
// By how much RSS may grow beyond the control's, in MiB: 8 bytes a lock, an eighth of the smallest cell.
const SLACK = 8;

// V8's young generation grows to what a busy process likes, and never shrinks: that would hide everything else.
const FLAGS = ['--expose-gc', '--max-semi-space-size=1'];

async function million(kind, synchronous) {
  const child = start('million', { kind, count: MILLION, synchronous }, { flags: FLAGS, deadline: 240_000 });
  const { seen } = await child.next();
  await child.stop();
  return seen;
}

async function growth(report) {
  const rows = [];
  const raw = {};
  for (const synchronous of [false, true]) {
    const way = synchronous ? 'one synchronous loop' : 'in batches';
    const control = await million('control', synchronous);
    const ours = await million('lock', synchronous);
    const grew = ([before, after], key) => after[key] - before[key];
    for (const [kind, seen] of [
      ['a plain object with a finaliser', control],
      ['new Lock()', ours],
    ]) {
      const [before, first, second] = seen;
      const name = `${kind}, ${way}`;
      raw[name] = seen;
      const each = (key, unit = 1) =>
        `${(before[key] / unit).toFixed()} → ${(first[key] / unit).toFixed()} → ${(second[key] / unit).toFixed()}`;
      rows.push([name, each('rss', MiB), each('shared', MiB), each('descriptors'), each('maps')]);
    }
    const more = (grew(ours, 'rss') - grew(control, 'rss')) / MiB;
    const again = (ours[2].rss - ours[1].rss) / MiB;
    report.must(`RSS, more than the control's growth, ${way}`, '<=', SLACK, more, 'MiB');
    report.must(`RSS, more after the second million than after the first, ${way}`, '<=', SLACK, again, 'MiB');
    report.must(`descriptors more after than before, ${way}`, '<=', 0, grew(ours, 'descriptors'));
    report.must(
      `mappings more after than before, beyond the control's, ${way}`,
      '<=',
      8,
      grew(ours, 'maps') - grew(control, 'maps'),
    );
  }
  const title = `before → after ${MILLION} objects made and dropped → after as many again`;
  report.table(title, ['case', 'RSS, MiB', 'of it shared', 'descriptors', 'mappings'], rows, raw);
}

/** The files of the addon: as built here, without symbols, and as packed for publishing. */
function addonSizes(dir) {
  const built = here('../build/Release/forklock.node');
  const sizes = [];
  const size = (name, path) => {
    const stat = statSync(path, { throwIfNoEntry: false });
    if (stat) sizes.push([name, stat.size]);
  };
  size('build/Release/forklock.node', built);
  try {
    const stripped = join(dir, 'stripped.node');
    copyFileSync(built, stripped);
    execFileSync('strip', [stripped], { timeout: 10_000 });
    size('the same, stripped as prebuildify does', stripped);
  } catch {
    sizes.push(['the same, stripped', 'no build, or no strip']);
  }
  const folder = here(`../prebuilds/${process.platform}-${process.arch}`);
  if (statSync(folder, { throwIfNoEntry: false })) {
    for (const file of readdirSync(folder))
      size(`prebuilds/${process.platform}-${process.arch}/${file}`, join(folder, file));
  }
  return sizes;
}

async function imported(module) {
  const before = performance.now();
  const { took } = await output(process.execPath, [here('programs/import.mjs'), module]);
  return { took, lived: performance.now() - before };
}

async function importTime(report) {
  const rounds = pick(25, 3);
  const empty = pathToFileURL(here('programs/empty.mjs')).href;
  const all = await interleave(
    { 'an empty module': () => imported(empty), forklock: () => imported(entry) },
    rounds + 2,
  );
  for (const series of Object.values(all)) series.splice(0, 2); // these filled the file cache
  const rows = Object.entries(all).map(([name, runs]) => {
    const took = runs.map((run) => run.took);
    return [name, median(took), quantile(took, 0.9), median(runs.map(({ lived }) => lived))];
  });
  report.table(
    `import, ms; ${rounds} fresh processes each, in turn`,
    ['case', 'import', 'p90', 'whole process'],
    rows,
    all,
  );
  const [plain, ours] = Object.values(all);
  const more = median(ours.map(({ took }, round) => took - plain[round].took));
  report.must("import of 'forklock', more than an empty module", '<=', 10, more, 'ms');
  const whole = median(ours.map(({ lived }, round) => lived - plain[round].lived));
  report.must('process with it, more than with an empty module', '<=', 10, whole, 'ms');
}

await topic('memory', 'what stays, and what it weighs', async (report) => {
  await growth(report);
  const sizes = addonSizes(report.dir);
  report.table('the addon, bytes', ['file', 'bytes'], sizes);
  const numbers = sizes.filter(([, size]) => typeof size === 'number');
  const [what, bytes] = numbers.at(-1) ?? ['addon', 'not built'];
  report.must(`addon: ${what}`, '<=', 100 * 1024, bytes, 'bytes');
  await importTime(report);
});
