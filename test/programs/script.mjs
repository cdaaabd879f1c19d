// Runs the source in argv[2] as the body of an async function that gets forklock and the other arguments. It has no
// channel to the test, so it ends by itself when nothing keeps it alive.
import fs from 'node:fs';
import { createRequire } from 'node:module';
import { Worker } from 'node:worker_threads';
import * as forklock from 'forklock';

const [source, ...args] = process.argv.slice(2);
const scope = {
  forklock,
  fs,
  Worker,
  require: createRequire(import.meta.url),
  print: (value) => console.log(JSON.stringify(value)),
};
// biome-ignore lint/security/noGlobalEval: the source is a function of the test
await globalThis.eval(`(${source})`)(scope, ...args.map((arg) => JSON.parse(arg)));
