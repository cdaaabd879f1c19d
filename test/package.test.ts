import { execFileSync, spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));
const scratch = mkdtempSync(join(tmpdir(), 'forklock-test-'));
afterAll(() => rmSync(scratch, { recursive: true }));

/** A program in a folder of its own, in which `forklock` is the package as it would be installed. */
function run(source: string, options: { native?: boolean; file?: string } = {}): string {
  const folder = mkdtempSync(join(scratch, 'run-'));
  const installed = join(folder, 'node_modules', 'forklock');
  mkdirSync(installed, { recursive: true });
  for (const part of ['package.json', 'dist', ...(options.native === false ? [] : ['build/Release/forklock.node'])]) {
    cpSync(join(root, part), join(installed, part), { recursive: true });
  }
  symlinkSync(join(root, 'node_modules', 'node-gyp-build'), join(folder, 'node_modules', 'node-gyp-build'));
  const file = join(folder, options.file ?? 'program.mjs');
  writeFileSync(file, source);
  const { status, stdout, stderr } = spawnSync(process.execPath, [file], {
    cwd: folder,
    encoding: 'utf8',
    timeout: 15_000,
  });
  expect(stderr).toBe('');
  expect(status).toBe(0);
  return stdout.trim();
}

describe('README.md', () => {
  const readme = readFileSync(join(root, 'README.md'), 'utf8');

  test('its program does what it says', () => {
    const [, source] = /```js\n\/\/ count\.mjs.*\n([\s\S]*?)```/.exec(readme)!;
    expect(run(source!, { file: 'count.mjs' })).toBe('200000');
  });

  test('so do its processes', () => {
    const [, source] = /```js\n\/\/ sum\.mjs.*\n([\s\S]*?)```/.exec(readme)!;
    expect(run(source!, { file: 'sum.mjs' })).toBe('6');
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

  test.each([
    ['hello.mjs', '0 1'],
    ['fork.mjs', '3 null 2000'],
  ])('processes.md: its %s does what it says', (file, output) => {
    const [, source] = new RegExp(`\`\`\`js\n// ${file}\n([\\s\\S]*?)\`\`\``).exec(
      readFileSync(join(root, 'docs/processes.md'), 'utf8'),
    )!;
    expect(run(source!, { file })).toBe(output);
  });
});

describe('the package', () => {
  test('can be imported on any platform; the first use says why it cannot work', () => {
    const printed = run(`
      Object.defineProperty(process, 'platform', { value: 'darwin' });
      const { Lock, Value } = await import('forklock');
      for (const make of [() => new Lock(), () => new Value('int32'), () => Lock.unlink('x')]) {
        try { make(); } catch ({ code, message }) { console.log(code, message.includes('darwin')); }
      }`);
    expect(printed.split('\n')).toEqual(Array(3).fill('ERR_FORKLOCK_UNSUPPORTED_PLATFORM true'));
  });

  test('without a native build, the first use says what was looked for and what to do', () => {
    const printed = run(
      `import { Lock } from 'forklock';
       try { new Lock(); } catch (error) { console.log(error.code, error.message.includes('node-gyp rebuild'), !!error.cause); }`,
      { native: false },
    );
    expect(printed).toBe('ERR_FORKLOCK_NO_NATIVE_BUILD true true');
  });

  test('can be required from CommonJS', () => {
    const source = "const { Lock } = require('forklock'); const l = new Lock(); l.acquire(); console.log(l.locked);";
    // Node 20 says once that it is experimental.
    expect(run(`process.removeAllListeners('warning');${source}`, { file: 'program.cjs' })).toBe('true');
  });

  test('names its handles so that copies of the package understand each other, and each others errors', () => {
    const printed = run(`
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

  test('packs the sources, the types and one module, and nothing of the tests', () => {
    const [{ files }] = JSON.parse(
      execFileSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], { cwd: root, encoding: 'utf8' }),
    ) as [{ files: { path: string }[] }];
    const paths = files.map(({ path }) => path);
    for (const needed of [
      'dist/forklock.js',
      'dist/index.d.ts',
      'native/addon.cc',
      'binding.gyp',
      'src/index.ts',
      'LICENSE',
    ]) {
      expect(paths).toContain(needed);
    }
    expect(paths.filter((path) => /^(test|bench|examples)|demo|build\//.test(path))).toEqual([]);
  });

  test('has folders that import only from the folders below them', () => {
    const order =
      'index.ts process channel data sync wait memory after-fork.ts native.ts options.ts errors.ts errno.ts'.split(' ');
    const layer = (path: string): number => order.indexOf(path.split('/')[0]!);
    const all = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' });
    const files = all.filter((path) => path.endsWith('.ts') && !path.startsWith('demo'));
    expect(files.length).toBeGreaterThan(30);
    for (const file of files) {
      expect(layer(file), file).toBeGreaterThanOrEqual(0);
      const source = readFileSync(join(root, 'src', file), 'utf8');
      for (const [, from] of source.matchAll(/from '(\.[^']+)'/g)) {
        const target = join(file, '..', from!).replace(/\.js$/, '.ts');
        expect(layer(target), `${file} imports ${target}`).toBeGreaterThanOrEqual(layer(file));
      }
    }
  });
});
