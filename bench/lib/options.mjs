// What the command line asked for. Every topic accepts `--quick`: a smoke run whose numbers mean nothing.
export const quick = process.argv.includes('--quick');

/** The full value, or the quick one. */
export const pick = (full, fast) => (quick ? fast : full);
