// node run.mjs [--quick] [topic...]: each topic in a process of its own, so that none inherits the heap, the compiled
// code or the type feedback of the one before.
import { spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { guard } from './lib/guard.mjs';

// Each node would read these certificates at its start, which takes longer than the rest of it.
delete process.env.NODE_EXTRA_CA_CERTS;

/** Each file beside this one. */
const topics = readdirSync(new URL('.', import.meta.url))
  .filter((file) => file.endsWith('.mjs') && file !== 'run.mjs')
  .map((file) => file.slice(0, -'.mjs'.length))
  .sort();
const DEADLINE = 600_000;

const words = process.argv.slice(2);
const options = words.filter((word) => word.startsWith('--'));
const wanted = words.filter((word) => !word.startsWith('--'));
const unknown = [...wanted.filter((word) => !topics.includes(word)), ...options.filter((word) => word !== '--quick')];
if (unknown.length) {
  console.error(`Unknown: ${unknown.join(', ')}. Expected --quick or any of: ${topics.join(', ')}`);
  process.exit(2);
}

let failed = false;
for (const topic of wanted.length ? wanted : topics) {
  const file = fileURLToPath(new URL(`${topic}.mjs`, import.meta.url));
  // SIGTERM first: a topic that gets it kills its own children.
  const [command, ...args] = [...guard, process.execPath, file, ...options];
  const child = spawn(command, args, { stdio: 'inherit', timeout: DEADLINE });
  const code = await new Promise((resolve) => child.once('close', resolve));
  if (code !== 0) {
    console.error(`${topic}: failed`);
    failed = true;
  }
}
process.exit(failed ? 1 : 0);
