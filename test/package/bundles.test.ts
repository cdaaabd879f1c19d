import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { build as esbuild } from 'esbuild';
import { rollup } from 'rollup';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import webpack from 'webpack';
import { startGroup } from '../support/group.js';
import { root } from '../support/installed.js';
import { LONG_ONLY } from '../support/long.js';

const scratch = mkdtempSync(join(tmpdir(), 'forklock-bundles-'));
afterAll(() => rmSync(scratch, { recursive: true }));
const entry = join(scratch, 'app.mjs');

/** All kinds of targets; a child that starts a child with what it got; a subclass. */
const SOURCE = `
  import { getContext, Lock, parentProcess, Process, RawValue } from 'forklock';
  export function add(value, lock) {
    if (!(lock instanceof Lock)) throw new Error('an argument of another class');
    lock.with(() => value.add(1));
  }
  export function nested(value, lock) {
    const child = new Process({ target: add, args: [value, lock] });
    child.start();
    child.join();
    process.exitCode = child.exitCode;
  }
  export class Adder extends Process {
    run() { this.value.add(1); }
  }
  function run(name, child, value) {
    try {
      child.start();
      child.join();
      console.log(name, child.exitCode, value.value);
    } catch ({ code, message }) {
      console.log(name, code, message);
    }
  }
  if (parentProcess() === null) {
    console.log('begins');
    const lock = new Lock();
    for (const method of ['spawn', 'forkserver', 'fork']) {
      const targets = { add, nested, ...(method !== 'fork' && { named: [process.argv[1], 'add'] }) };
      for (const [name, target] of Object.entries(process.argv[2] === 'short' ? { add } : targets)) {
        const value = new RawValue('int32');
        run(method + ' ' + name, new (getContext(method).Process)({ target, args: [value, lock] }), value);
      }
    }
    const adder = new Adder();
    adder.value = new RawValue('int32');
    run('subclass', adder, adder.value);
  }`;
const RAN = [
  'begins',
  ...['spawn', 'forkserver'].flatMap((method) => ['add', 'nested', 'named'].map((name) => `${method} ${name} 0 1`)),
  'fork add 0 1',
  'fork nested 0 1',
  'subclass 0 1',
];

const RAN_SHORT = RAN.filter((line) => !/nested|named/.test(line));

type Format = 'esm' | 'cjs';
const FORMATS: readonly Format[] = ['esm', 'cjs'];
const EXTENSION = { esm: 'mjs', cjs: 'cjs' };
const FORKLOCK = join(root, 'dist/forklock.js');

/** Each writes the application into one file; with forklock in it, or without. */
const BUNDLERS: Record<string, (file: string, format: Format, external: boolean) => Promise<unknown>> = {
  esbuild: (outfile, format, external) => build(outfile, format, external, false),
  'esbuild, minified': (outfile, format, external) => build(outfile, format, external, true),
  async rollup(file, format, external) {
    const plugins = external
      ? []
      : [{ name: 'forklock', resolveId: (id: string) => (id === 'forklock' ? FORKLOCK : null) }];
    const bundle = await rollup({ input: entry, external: external ? ['forklock'] : /^node:/, plugins });
    await bundle.write({ file, format });
  },
  webpack: (file, format, external) =>
    new Promise<void>((resolve, reject) => {
      const module = format === 'esm';
      const type = module ? 'module' : 'commonjs2';
      const options: webpack.Configuration = {
        mode: 'production',
        target: 'node20',
        entry,
        experiments: { outputModule: module },
        // It exports to CommonJS when all has run: until then only the text says what, if names there are not all alike.
        optimization: { minimize: module },
        output: { path: join(file, '..'), filename: basename(file), module, library: { type } },
        ...(external
          ? { externals: { forklock: `${module ? 'module' : 'node-commonjs'} forklock` } }
          : { resolve: { alias: { forklock: FORKLOCK } } }),
      };
      webpack(options, (error, stats) => {
        if (error || stats?.hasErrors()) reject(error ?? new Error(String(stats)));
        else resolve();
      });
    }),
};

function build(outfile: string, format: Format, external: boolean, minify: boolean): Promise<unknown> {
  return esbuild({
    entryPoints: [entry],
    bundle: true,
    platform: 'node',
    format,
    outfile,
    minify,
    logLevel: 'error',
    ...(external ? { external: ['forklock'] } : { alias: { forklock: FORKLOCK } }),
  });
}

/** The package's files that a bundle needs. */
function copyPackage(to: string): void {
  cpSync(join(root, 'dist'), join(to, 'dist'), { recursive: true, filter: (path) => !path.includes('dist/demo') });
  cpSync(join(root, 'package.json'), join(to, 'package.json'));
  mkdirSync(join(to, 'prebuilds', `${process.platform}-${process.arch}`), { recursive: true });
  cpSync(
    join(root, 'build/Release/forklock.node'),
    join(to, 'prebuilds', `${process.platform}-${process.arch}`, 'forklock.node'),
  );
}

async function run(file: string, ...args: 'short'[]) {
  const { ended } = startGroup([process.execPath, file, ...args], {
    deadline: 28_000,
    env: { ...process.env, NODE_OPTIONS: '' },
  });
  const { stdout, stderr, code } = await ended;
  return { lines: stdout.split('\n').filter(Boolean), stderr, code };
}

beforeAll(() => writeFileSync(entry, SOURCE));

describe.each(Object.keys(BUNDLERS).map((bundler, i) => [bundler, i] as const))('%s', (bundler, i) => {
  test.each(FORMATS)('%s, with forklock in it and its folder beside', async (format) => {
    const folder = mkdtempSync(join(scratch, 'with-'));
    const file = join(folder, `app.${EXTENSION[format]}`);
    await BUNDLERS[bundler]!(file, format, false);
    copyPackage(join(folder, 'forklock'));
    expect(await run(file)).toEqual({ lines: RAN, stderr: '', code: 0 });
  });

  for (const [j, format] of FORMATS.entries()) {
    const isShort = (i + j) % 2 === 0;
    test(`${format}, with forklock external and installed`, isShort ? {} : LONG_ONLY, async () => {
      const folder = mkdtempSync(join(scratch, 'external-'));
      const file = join(folder, `app.${EXTENSION[format]}`);
      await BUNDLERS[bundler]!(file, format, true);
      copyPackage(join(folder, 'node_modules/forklock'));
      const { lines, stderr, code } = await run(file);
      // Node 20 says of `require` of an ES module that it is experimental.
      expect({ lines, stderr: stderr.replace(/^\(.*ExperimentalWarning.*\n\(Use.*\n/gm, ''), code }).toEqual({
        lines: RAN,
        stderr: '',
        code: 0,
      });
    });
  }
});

test.each(FORMATS)('a bundle (%s) finds the parts of the package', async (format) => {
  const folder = mkdtempSync(join(scratch, 'places-'));
  const file = join(folder, `app.${EXTENSION[format]}`);
  await BUNDLERS.esbuild!(file, format, false);
  for (const place of ['', 'dist', 'bin']) {
    const moved = join(mkdtempSync(join(scratch, 'place-')), place);
    mkdirSync(moved, { recursive: true });
    cpSync(file, join(moved, basename(file)));
    // The package is installed; or its files are those of the folder itself, or of the one above.
    if (place === '') copyPackage(join(moved, 'node_modules/forklock'));
    else copyPackage(place === 'bin' ? moved : join(moved, '..'));
    if (place !== '') rmSync(join(place === 'bin' ? moved : join(moved, '..'), 'package.json'));
    const { lines, stderr } = await run(join(moved, basename(file)), 'short');
    expect({ place, lines, stderr }).toEqual({ place, lines: RAN_SHORT, stderr: '' });
  }
});

test.each(FORMATS)(
  'a bundle (%s) without its files: the import works, the first use says what is missing',
  async (format) => {
    const folder = mkdtempSync(join(scratch, 'alone-'));
    const file = join(folder, `app.${EXTENSION[format]}`);
    const source = join(folder, 'source.mjs');
    writeFileSync(
      source,
      `import { Lock } from 'forklock';
     console.log('imported');
     try { new Lock(); } catch ({ code, message }) { console.log(code, message); }`,
    );
    await esbuild({
      entryPoints: [source],
      bundle: true,
      platform: 'node',
      format,
      outfile: file,
      logLevel: 'error',
      alias: { forklock: FORKLOCK },
    });
    const { lines, stderr, code } = await run(file);
    expect({ stderr, code }).toEqual({ stderr: '', code: 0 });
    expect(lines).toEqual([
      'imported',
      expect.stringMatching(/^ERR_FORKLOCK_BUNDLED forklock was put into a bundle, .*native build.*external/),
    ]);
  },
);

test('a bundle beside the files of another version says so', async () => {
  const folder = mkdtempSync(join(scratch, 'version-'));
  const file = join(folder, 'app.mjs');
  await BUNDLERS.esbuild!(file, 'esm', false);
  copyPackage(join(folder, 'forklock'));
  rmSync(join(folder, 'forklock/package.json')); // which would say so before
  const dist = join(folder, 'forklock/dist');
  for (const name of readdirSync(dist).filter((each) => each.endsWith('.mjs'))) {
    writeFileSync(join(dist, name), readFileSync(join(dist, name), 'utf8').replace(/"0\.1\.0"/g, '"0.0.9"'));
  }
  const { lines, stderr } = await run(file, 'short');
  expect(lines.slice(0, 2)).toEqual(['begins', expect.stringMatching(/^spawn add 70 0$/)]);
  expect(lines[2]).toMatch(/^forkserver add ERR_FORKLOCK_PROCESS /);
  expect(stderr).toMatch(/this is the program of version 0\.0\.9/);
});
