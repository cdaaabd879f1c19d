/**
 * Each run of a storm, a fuzz, an exhaustive search or a long repetition has a short form, which `npm test` runs, and a
 * long one: `npm run test:long` runs the files that have one in full, as `.ci/run` and `npm run verify` do.
 */
export const LONG = process.env.FORKLOCK_LONG === '1';

/** What the two forms have. */
export const sized = <T>(short: T, long: T): T => (LONG ? long : short);
