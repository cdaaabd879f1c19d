// The closing table.
import { POINTS } from './points.mjs';
import { WAYS } from './ways.mjs';

export function report(tally, seconds) {
  const lines = [];
  const row = (name, value) => lines.push(`  ${String(value).padStart(9)}  ${name}`);
  lines.push('Kills by way');
  for (const way of WAYS) row(way, tally.killsByWay.get(way) ?? 0);
  lines.push('Kills by point');
  for (const point of ['at a random moment', ...POINTS]) row(point, tally.killsByPoint.get(point) ?? 0);
  const never = POINTS.filter((point) => !tally.killsByPoint.has(point));
  lines.push('In all');
  row(`kills, ${(tally.kills / seconds).toFixed(1)} a second`, tally.kills);
  row('participants that died', tally.deaths);
  row(`participants started, in ${(tally.startTime / tally.starts).toFixed(0)} ms on average`, tally.starts);
  row('fork servers killed', tally.serversKilled);
  row('starts that failed with an error, as two servers were killed', tally.failedStarts);
  row('spare children killed', tally.sparesKilled);
  row('of these that had become participants', tally.hired);
  row(`operations, ${Math.round(tally.operations / seconds)} a second`, tally.operations);
  row('times that a subject was brought to rest and counted', tally.lulls);
  row('ms that anybody waited at rest without a reason, at most', Math.round(tally.longestRest));
  row('waits at rest that nobody woke, and that looked again by themselves', tally.late);
  row('times that the dead held something for a moment more, at rest', tally.secondLooks);
  row('times that a processor was missing, not a wake', tally.slow);
  row(`of ${POINTS.length} points at which nobody died`, never.length);
  lines.push('Failures');
  for (const [name, n] of tally.failures) row(name, n);
  return lines.join('\n');
}
