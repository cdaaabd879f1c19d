/**
 * Each run of a storm, a fuzz, an exhaustive search or a long repetition has a short form, which `npm test` runs, and a
 * long one. Tests that ask for the form have the options `TWO_FORMS`: `npm run test:long` runs the long form of these, and
 * `npm run verify` everything.
 */
export const LONG = process.env.FORKLOCK_LONG === '1';

/** Options of a test, or of a group of tests, that has two forms. */
export const TWO_FORMS = { tags: ['two-forms'] };

/** Options of one that is in the long form only. */
export const LONG_ONLY = { ...TWO_FORMS, skip: !LONG };

/** What the two forms have. */
export const sized = <T>(short: T, long: T): T => (LONG ? long : short);
