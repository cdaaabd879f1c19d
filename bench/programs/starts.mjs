// Starts something and waits for its end. First line: { way } of lib/starters.mjs. Each further line { count } is
// answered with a list of { first, whole }, in ns.
import { hear, say } from '../lib/program.mjs';
import { starters } from '../lib/starters.mjs';

const { way } = await hear();
const start = starters[way]();

for (;;) {
  const { count } = await hear();
  const lives = [];
  for (let i = 0; i < count; i++) lives.push(await start());
  say(lives);
}
