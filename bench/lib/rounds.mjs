// Interleaving. Two sides measured one after the other differ by whatever else the machine did meanwhile; so every
// round measures every case once, and every second round goes backwards.

/**
 * Runs `cases` (name → function that measures once) for some rounds. The result has one list of measurements for each
 * name, in the order of the rounds.
 */
export async function interleave(cases, rounds) {
  const results = Object.fromEntries(Object.keys(cases).map((name) => [name, []]));
  for (let round = 0; round < rounds; round++) {
    const order = Object.entries(cases);
    if (round % 2) order.reverse();
    for (const [name, measure] of order) results[name].push(await measure(round));
  }
  return results;
}
