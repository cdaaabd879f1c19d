import { describe, test } from 'vitest';
import { ASYNC_SUITES } from './explore/async/suites.js';
import { huntAsync, summaryAsync, tellAsync } from './explore/async/suite.js';
const SUITES = ASYNC_SUITES;
for (const { name, stories, mutants } of SUITES) describe(name, () => {
  for (const story of stories) test(story.title, { timeout: 300000 }, () => {
    const r = tellAsync(story);
    console.log(story.title, summaryAsync(r), r.wrong ?? 'ok', '\n' + r.trace.join('\n'));
  });
  for (const m of mutants) test(m.title, { timeout: 300000 }, () => {
    const r = huntAsync(m, stories);
    console.log('MUTANT', m.title, summaryAsync(r), r.wrong ?? 'NOTHING', '\n' + r.trace.join('\n'));
  });
});
