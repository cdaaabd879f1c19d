// CLOCK_MONOTONIC in nanoseconds: the same clock in every process, and in the C and Python programs.
// A double holds it exactly for 104 days of uptime, and to a few nanoseconds after that.
export const now = () => Number(process.hrtime.bigint());

export const rest = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Spins until that moment, so that two processes start together. */
export function spinUntil(moment) {
  while (now() < moment);
}
