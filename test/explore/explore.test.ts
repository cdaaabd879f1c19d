import { describe, expect, test } from 'vitest';
import { TWO_FORMS } from '../support/long.js';
import { huntAsync, summaryAsync, tellAsync } from './async/suite.js';
import { ASYNC_SUITES } from './async/suites.js';
import { compile, loadCore } from './core.js';
import { shortestTrace } from './explorer.js';
import { FULL, hunt, SEED, SHORT, summary, tell } from './suite.js';
import { SUITES } from './suites.js';

/**
 * Every interleaving of the shipped algorithms, and bugs on purpose that must be found that way: see explore/.
 * `npm run explore` is that; `-- --nightly` is the size for the night; `--seed` repeats the random schedules of a run.
 * The short form begins each story, and looks whether the code that a mutant changes is there.
 */
const TIMEOUT = FULL ? 3_600_000 : 120_000;

/** As far as this, a failure comes with the shortest way to it. */
const TRACED = 2_000_000;

const noticed = (title: string): string =>
  `${SHORT ? 'there is code to change so that' : 'it is noticed when'} ${title}`;

for (const { name, stories, mutants } of SUITES) {
  describe(name, TWO_FORMS, () => {
    const core = loadCore();

    for (const story of stories) {
      test(`nothing goes wrong with ${story.title}`, { timeout: TIMEOUT }, () => {
        const explored = story.narrow ? loadCore(...story.narrow) : core;
        const report = tell(story, explored);
        console.log(`${story.title}: ${summary(report)}`);
        if (report.wrong !== undefined) {
          const trace = shortestTrace(story.build(explored), explored, TRACED) ?? report.trace;
          expect.fail(`${report.wrong} (seed ${SEED})\n${trace.join('\n')}`);
        }
        if (!story.bounded && !SHORT) expect(report.exhausted, 'all states could be looked at').toBe(true);
      });
    }

    for (const mutant of mutants) {
      test(noticed(mutant.title), { timeout: TIMEOUT }, () => {
        if (SHORT) return void compile(mutant.file, [mutant]);
        const report = hunt(mutant, stories);
        console.log(`when ${mutant.title}: ${report.wrong ?? 'NOTHING'} (${summary(report)})`);
        expect(report.wrong, `nothing was found in '${mutant.caughtBy}'`).toBeDefined();
      });
    }
  });
}

for (const { name, stories, mutants } of ASYNC_SUITES) {
  describe(name, TWO_FORMS, () => {
    for (const story of stories) {
      test(`nothing goes wrong with ${story.title}`, { timeout: TIMEOUT }, () => {
        const found = tellAsync(story);
        console.log(`${story.title}: ${summaryAsync(found)}`);
        if (found.wrong !== undefined) expect.fail(`${found.wrong} (seed ${SEED})\n${found.trace.join('\n')}`);
      });
    }

    for (const mutant of mutants) {
      test(noticed(mutant.title), { timeout: TIMEOUT }, () => {
        if (SHORT) return void ('file' in mutant && compile(mutant.file, [mutant]));
        const found = huntAsync(mutant, stories);
        console.log(`when ${mutant.title}: ${found.wrong ?? 'NOTHING'} (${summaryAsync(found)})`);
        expect(found.wrong, `nothing was found in '${mutant.caughtBy}'`).toBeDefined();
      });
    }
  });
}
