import { describe, expect, test } from 'vitest';
import { huntAsync, summaryAsync, tellAsync } from './explore/async/suite.js';
import { ASYNC_SUITES } from './explore/async/suites.js';
import { loadCore } from './explore/core.js';
import { shortestTrace } from './explore/explorer.js';
import { FULL, hunt, SEED, summary, tell } from './explore/suite.js';
import { SUITES } from './explore/suites.js';

/**
 * Every interleaving of the shipped algorithms, and bugs on purpose that must be found that way: see explore/.
 * `npm run explore -- --nightly` is the size for the night; `--seed` repeats the random schedules of a run.
 */
const TIMEOUT = FULL ? 3_600_000 : 120_000;

/** As far as this, a failure comes with the shortest way to it. */
const TRACED = 2_000_000;

for (const { name, stories, mutants } of SUITES) {
  describe(name, () => {
    const core = loadCore();

    for (const story of stories) {
      test(`nothing goes wrong with ${story.title}`, { timeout: TIMEOUT }, () => {
        const report = tell(story, core);
        console.log(`${story.title}: ${summary(report)}`);
        if (report.wrong !== undefined) {
          const trace = shortestTrace(story.build(core), core, TRACED) ?? report.trace;
          expect.fail(`${report.wrong} (seed ${SEED})\n${trace.join('\n')}`);
        }
        if (!story.bounded) expect(report.exhausted, 'all states could be looked at').toBe(true);
      });
    }

    for (const mutant of mutants) {
      test(`it is noticed when ${mutant.title}`, { timeout: TIMEOUT }, () => {
        const report = hunt(mutant, stories);
        console.log(`when ${mutant.title}: ${report.wrong ?? 'NOTHING'} (${summary(report)})`);
        expect(report.wrong, `nothing was found in '${mutant.caughtBy}'`).toBeDefined();
      });
    }
  });
}

for (const { name, stories, mutants } of ASYNC_SUITES) {
  describe(name, () => {
    for (const story of stories) {
      test(`nothing goes wrong with ${story.title}`, { timeout: TIMEOUT }, () => {
        const found = tellAsync(story);
        console.log(`${story.title}: ${summaryAsync(found)}`);
        if (found.wrong !== undefined) expect.fail(`${found.wrong} (seed ${SEED})\n${found.trace.join('\n')}`);
      });
    }

    for (const mutant of mutants) {
      test(`it is noticed when ${mutant.title}`, { timeout: TIMEOUT }, () => {
        const found = huntAsync(mutant, stories);
        console.log(`when ${mutant.title}: ${found.wrong ?? 'NOTHING'} (${summaryAsync(found)})`);
        expect(found.wrong, `nothing was found in '${mutant.caughtBy}'`).toBeDefined();
      });
    }
  });
}
