// Runs the source in argv[3] as the body of an async function that gets forklock and the other arguments. It has no
// channel to the test, so it ends by itself when nothing keeps it alive. With a start method in argv[2] a Process does
// that, and this program ends as that does.
import fs from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Worker } from 'node:worker_threads';
import * as forklock from 'forklock';

const { getContext, parentProcess } = forklock;

/** Needs --expose-gc. Finalizers run between two turns of the event loop, and may leave more to collect. */
async function collect() {
  for (let i = 0; i < 4; i++) {
    globalThis.gc();
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/**
 * The package's JavaScript at another place, so that it is evaluated anew; it finds the same addon there. The test removes
 * it: a fork server outlives this process for a moment, in which it may load a part of it.
 */
async function instance() {
  const root = new URL('../..', import.meta.url);
  const folder = fs.mkdtempSync(join(process.env.FORKLOCK_TEST_SCRATCH, 'instance-'));
  const entry = join(folder, 'dist', 'forklock.js');
  fs.mkdirSync(join(folder, 'dist'));
  for (const file of fs.readdirSync(new URL('dist', root))) {
    if (/^forklock\.js$|\.mjs$/.test(file)) fs.cpSync(new URL(`dist/${file}`, root), join(folder, 'dist', file));
  }
  fs.cpSync(new URL('package.json', root), join(folder, 'package.json'));
  fs.symlinkSync(new URL('build', root), join(folder, 'build'));
  return import(pathToFileURL(entry).href);
}

export async function main(source, args) {
  const scope = {
    forklock,
    fs,
    Worker,
    require: createRequire(import.meta.url),
    instance,
    print: (value) => console.log(JSON.stringify(value)),
    collect,
    mapped: () => ({
      fds: fs.readdirSync('/proc/self/fd').length,
      maps: fs.readFileSync('/proc/self/maps', 'utf8').match(/^.*(forklock|memfd).*$/gm)?.length ?? 0,
    }),
  };
  // biome-ignore lint/security/noGlobalEval: the source is a function of the test
  await globalThis.eval(`(${source})`)(scope, ...args);
}

if (parentProcess() === null) {
  const [mode, source, ...json] = process.argv.slice(2);
  const args = json.map((text) => JSON.parse(text));
  if (mode === 'process') {
    await main(source, args);
  } else {
    const child = new (getContext(mode).Process)({ target: main, args: [source, args] });
    child.start();
    child.join();
    if (child.exitCode < 0) process.kill(process.pid, -child.exitCode);
    process.exitCode = child.exitCode;
  }
}
