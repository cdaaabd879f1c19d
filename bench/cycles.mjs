// What a thousand processes leave behind in the one that started them, and in the fork server.
import { start } from './lib/child.mjs';
import { pick } from './lib/options.mjs';
import { topic } from './lib/report.mjs';

const MiB = 2 ** 20;
const WARM = pick(50, 2);
const COUNTS = pick({ forkserver: 1000, fork: 200, spawn: 200 }, { forkserver: 5, fork: 2, spawn: 2 });
// By how much anonymous memory may grow: a kilobyte for each of a thousand processes, and the allocator's own steps.
const SLACK = 1.5;
const MAPS = 8;

// V8's young generation grows to what a busy process likes, and never shrinks: that would hide everything else. The fork
// server gets the same options.
const FLAGS = ['--expose-gc', '--max-semi-space-size=1'];

const KEYS = {
  descriptors: 'descriptors',
  zombies: 'zombies',
  threads: 'threads',
  maps: 'mappings',
  memory: 'anonymous memory, MiB',
};
const shown = (key, value) => (key === 'memory' ? (value / MiB).toFixed(1) : String(value));

await topic('cycles', 'what processes leave behind', async (report) => {
  const rows = [];
  const raw = {};
  for (const [way, count] of Object.entries(COUNTS)) {
    const child = start('cycles', { way, warm: WARM, count }, { flags: FLAGS, deadline: 240_000 });
    const looks = await child.next();
    await child.stop();
    raw[way] = looks;
    for (const side of ['parent', 'server']) {
      if (!looks[0][side]) continue;
      const seen = looks.map((look) => look[side]);
      const whose = side === 'parent' ? 'parent' : 'fork server';
      rows.push([
        `'${way}', ${whose}, ${count} cycles`,
        ...Object.keys(KEYS).map((key) => seen.map((look) => shown(key, look[key])).join(' → ')),
      ]);
      const [first, , last] = seen;
      const more = (key) => last[key] - first[key];
      const name = `'${way}', ${whose}, 2 × ${count} cycles`;
      report.must(`${name}: more descriptors`, '<=', 0, more('descriptors'));
      report.must(`${name}: zombies`, '<=', 0, last.zombies);
      report.must(`${name}: more threads`, '<=', 0, more('threads'));
      report.must(`${name}: more mappings`, '<=', MAPS, more('maps'));
      report.must(
        `${name}: more anonymous memory, second half`,
        '<=',
        SLACK,
        (last.memory - seen[1].memory) / MiB,
        'MiB',
      );
    }
  }
  const title = `after ${WARM} start/join cycles → after as many more as it says → and again`;
  report.table(title, ['case', ...Object.values(KEYS)], rows, raw);
});
