export function quantile(values, q) {
  const sorted = Float64Array.from(values).sort();
  return sorted.length ? sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] : Number.NaN;
}

export const median = (values) => quantile(values, 0.5);

/** The ratio of every round, then their median: what disturbed a round disturbed both of its sides. */
export const ratio = (over, under) => median(over.map((value, round) => value / under[round]));

/** Best peer of each round against the other side of the same round. */
export const bestOf = (...series) => series[0].map((_, round) => Math.min(...series.map((values) => values[round])));
