import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { VERSION } from '../../src/version.js';
import { startGroup } from '../support/group.js';
import { install, packedPaths, root } from '../support/installed.js';

const scratch = mkdtempSync(join(tmpdir(), 'forklock-test-'));
afterAll(() => rmSync(scratch, { recursive: true }));
let installed: string;
beforeAll(() => {
  installed = install(scratch);
});

interface Options {
  /** False: without the addon. */
  native?: boolean;
  file?: string;
  execArgv?: string[];
}

/** A program in a folder of its own, in which `forklock` is the package as it is published. */
function folderWith(source: string, { native = true, file = 'program.mjs' }: Options = {}): string {
  const folder = mkdtempSync(join(scratch, 'run-'));
  cpSync(join(installed, 'node_modules'), join(folder, 'node_modules'), { recursive: true });
  if (!native) rmSync(join(folder, 'node_modules/forklock/prebuilds'), { recursive: true });
  writeFileSync(join(folder, file), source);
  return folder;
}

/** What it prints; on standard error it must not. */
async function run(source: string, options: Options = {}): Promise<string> {
  return runIn(folderWith(source, options), options);
}

async function runIn(cwd: string, { file = 'program.mjs', execArgv = [] }: Options = {}): Promise<string> {
  const { ended } = startGroup([process.execPath, ...execArgv, join(cwd, file)], { cwd });
  const { stdout, stderr, code } = await ended;
  expect(stderr).toBe('');
  expect(code).toBe(0);
  return stdout.trim();
}

/** The programs of a page, by the name that the first line of each says. */
function programs(page: string): Map<string, string> {
  const all = [...page.matchAll(/```js\n(\/\/ (\S+\.mjs)[\s\S]*?)```/g)];
  return new Map(all.map(([, source, file]) => [file!, source!]));
}

describe('README.md', () => {
  const readme = readFileSync(join(root, 'README.md'), 'utf8');

  test.each([
    ['count.mjs', '200000'],
    ['sum.mjs', '6'],
  ])('its %s does what it says', async (file, output) => {
    expect(await run(programs(readme).get(file)!, { file })).toBe(output);
  });

  test('has no other program', () => {
    expect([...programs(readme).keys()]).toEqual(['count.mjs', 'sum.mjs']);
  });

  test('is short', () => {
    expect(readme.split('\n').length).toBeLessThan(132);
  });
});

describe('docs', () => {
  const pages = [
    'README.md',
    'CONTRIBUTING.md',
    'CHANGELOG.md',
    ...readdirSync(join(root, 'docs')).map((name) => `docs/${name}`),
  ];
  const headings = (page: string): string[] =>
    [...readFileSync(join(root, page), 'utf8').matchAll(/^#+ (.*)$/gm)].map(([, title]) =>
      title!
        .toLowerCase()
        .replace(/[^a-z0-9 -]/g, '')
        .replaceAll(' ', '-'),
    );

  test.for(pages)('%s links to what is there', (page) => {
    for (const [, link] of readFileSync(join(root, page), 'utf8').matchAll(/\]\(([^)]+)\)/g)) {
      if (link!.startsWith('https:')) continue;
      const [path, anchor] = link!.split('#') as [string, string | undefined];
      const target = path === '' ? page : join(page, '..', path);
      expect(existsSync(join(root, target)), `${page}: ${link}`).toBe(true);
      if (anchor) expect(headings(target)).toContain(anchor);
    }
  });

  test.for(pages)('%s names files that are there', (page) => {
    const named = readFileSync(join(root, page), 'utf8').matchAll(/`((?:test|src|native|bench|examples)\/[\w./-]+)/g);
    for (const [, path] of named) expect(existsSync(join(root, path!)), `${page}: ${path}`).toBe(true);
  });

  test.each([
    ['hello.mjs', '0 1'],
    ['fork.mjs', '3 null 2000'],
  ])('processes.md: its %s does what it says', async (file, output) => {
    const page = readFileSync(join(root, 'docs/processes.md'), 'utf8');
    expect(await run(programs(page).get(file)!, { file })).toBe(output);
  });
});

describe('the package', () => {
  test('can be imported on any platform; the first use says why it cannot work', async () => {
    const printed = await run(`
      Object.defineProperty(process, 'platform', { value: 'darwin' });
      const { Lock, Value } = await import('forklock');
      for (const make of [() => new Lock(), () => new Value('int32'), () => Lock.unlink('x')]) {
        try { make(); } catch ({ code, message }) { console.log(code, message.includes('darwin')); }
      }`);
    expect(printed.split('\n')).toEqual(Array(3).fill('ERR_FORKLOCK_UNSUPPORTED_PLATFORM true'));
  });

  const MAKE =
    "import { Lock } from 'forklock'; try { new Lock(); } catch ({ code, message, cause }) { console.log(JSON.stringify({ code, message, cause: cause?.code })); }";

  test('without a native build, the first use says what was looked for and what to do', async () => {
    const { code, message } = JSON.parse(await run(MAKE, { native: false }));
    expect(code).toBe('ERR_FORKLOCK_NO_NATIVE_BUILD');
    expect(message).toMatch(/^no native build of forklock was found for linux-\w+ in \/.*node-gyp rebuild/);
  });

  test.each([
    ['of another system', Buffer.alloc(10_000, 'MZ'), /invalid ELF header/],
    ['cut off', readFileSync(join(root, 'build/Release/forklock.node')).subarray(0, 20), /file too short/],
    ['that is none of node', readFileSync('/lib64/ld-linux-x86-64.so.2'), /Module did not self-register/],
  ])('a native build %s: the first use says what the system says of it', async (_, bytes, reason) => {
    const folder = folderWith(MAKE);
    const file = join(folder, `node_modules/forklock/prebuilds/${process.platform}-${process.arch}/forklock.node`);
    writeFileSync(file, bytes);
    const { code, message, cause } = JSON.parse(await runIn(folder));
    expect({ code, cause }).toEqual({ code: 'ERR_FORKLOCK_NO_NATIVE_BUILD', cause: 'ERR_DLOPEN_FAILED' });
    expect(message).toContain(`${file}, cannot be loaded here`);
    expect(message).toMatch(reason);
  });

  test('where node may not load addons, the first use says which option is in the way', async () => {
    const { code, message, cause } = JSON.parse(await run(MAKE, { execArgv: ['--no-addons'] }));
    expect({ code, cause }).toEqual({ code: 'ERR_FORKLOCK_NO_NATIVE_BUILD', cause: 'ERR_DLOPEN_DISABLED' });
    expect(message).toMatch(/--allow-addons.*--no-addons/);
  });

  test('can be required from CommonJS', async () => {
    const source = "const { Lock } = require('forklock'); const l = new Lock(); l.acquire(); console.log(l.locked);";
    // Node 20 says once that it is experimental.
    expect(await run(`process.removeAllListeners('warning');${source}`, { file: 'program.cjs' })).toBe('true');
  });

  test('names its handles so that copies of the package understand each other, and each others errors', async () => {
    const printed = await run(`
      import { cpSync } from 'node:fs';
      cpSync('node_modules/forklock', 'node_modules/copy', { recursive: true });
      const [a, b] = [await import('forklock'), await import('./node_modules/copy/dist/forklock.js')];
      const lock = new a.Lock();
      const same = b.Lock.from(lock.handle);
      lock.acquire();
      console.log(same.locked, same.tryAcquire());
      try { lock.acquire(); } catch (e) { console.log(e instanceof b.DeadlockError, e instanceof b.ForklockError, e instanceof b.TimeoutError); }`);
    expect(printed).toBe('true false\ntrue true false');
  });

  test('packs the sources, the types and what runs, and nothing of the tests', () => {
    const paths = packedPaths(root);
    for (const needed of ['dist/index.d.ts', 'native/addon.cc', 'binding.gyp', 'src/index.ts', 'LICENSE']) {
      expect(paths).toContain(needed);
    }
    const built = readdirSync(join(root, 'dist')).filter((name) => /^forklock\.js$|\.mjs$/.test(name));
    expect(built.length).toBeGreaterThan(3);
    for (const name of built) expect(paths).toContain(`dist/${name}`);
    expect(paths.filter((path) => /^(test|bench|examples)|demo|build\//.test(path))).toEqual([]);
  });

  test.each(['nodenext', 'node16'])(
    'has types that stand for themselves: %s, strict, nothing skipped',
    async (module) => {
      const source = `import { fork, Lock, Process, waitpid, waitpidAsync } from 'forklock';
      const { exitCode } = waitpid(fork());
      const { signal } = await waitpidAsync(fork());
      const status = waitpid(fork(), { timeout: 0 })?.exitCode;
      const process = new Process({ target: (n: number) => n, args: [1] });
      export const all: unknown = [exitCode, signal, status, process, Lock.from(new Lock().handle)];`;
      const cwd = folderWith(source, { file: 'types.mts' });
      const tsc = join(root, 'node_modules/typescript/bin/tsc');
      const options = `--noEmit --strict --target es2022 --module ${module} --types node --ignoreConfig`.split(' ');
      const types = ['--typeRoots', join(root, 'node_modules/@types')];
      const { ended } = startGroup([process.execPath, tsc, ...options, ...types, 'types.mts'], { cwd });
      expect(await ended).toMatchObject({ stdout: '', stderr: '', code: 0 });
    },
  );

  test('says its version', async () => {
    const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
    expect(VERSION).toBe(version);
  });

  test('needs nothing to run, and only headers to be built', () => {
    const { dependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
    expect(Object.keys(dependencies)).toEqual(['node-addon-api']);
    const imported = readdirSync(join(root, 'dist'))
      .filter((name) => /^forklock\.js$|\.mjs$/.test(name))
      .flatMap((name) => [
        ...readFileSync(join(root, 'dist', name), 'utf8').matchAll(/^(?:import|export)\b.*from "([^"]+)"/gm),
      ])
      .map(([, from]) => from!);
    expect(imported.length).toBeGreaterThan(5);
    expect(imported.filter((from) => !/^(node:|\.\/)/.test(from))).toEqual([]);
  });

  // By the number of poll(2).
  test.runIf(process.arch === 'x64')('starts processes, and has spare ones that stay', async () => {
    const printed = await run(`
      import { readFileSync } from 'node:fs';
      import { setImmediate } from 'node:timers/promises';
      import { parentProcess, Process, RawValue } from 'forklock';
      export const add = (count) => count.add(1);
      if (parentProcess() === null) {
        const count = new RawValue('int32');
        const all = Array.from({ length: 12 }, () => new Process({ target: add, args: [count] }));
        for (const each of all) each.start();
        const server = readFileSync(\`/proc/self/task/\${process.pid}/children\`, 'utf8').trim();
        for (const each of all) each.join();
        // Until the server waits for ever: it has all the spares that it wants, or has found that it can have none.
        const rests = () => /^7 \\S+ \\S+ 0xf+ /.test(readFileSync(\`/proc/\${server}/syscall\`, 'utf8'));
        while (!rests()) await setImmediate();
        const spares = readFileSync(\`/proc/\${server}/task/\${server}/children\`, 'utf8').trim().split(' ').filter(Boolean);
        console.log(all.every(({ exitCode }) => exitCode === 0), count.value, spares.length > 0);
      }`);
    expect(printed).toBe('true 12 true');
  });
});
