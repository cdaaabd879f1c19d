import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import ts from 'typescript';
import { afterAll, expect, test } from 'vitest';

const root = resolve(import.meta.dirname, '../..');

/** The rows of "Layers" in docs/design.md, from above: files and folders of src. */
function readLayers(): string[][] {
  const design = readFileSync(join(root, 'docs/design.md'), 'utf8');
  const section = design.slice(design.indexOf('\n## Layers\n'), design.indexOf('\n## Memory\n'));
  const rows = [...section.matchAll(/^ {4}([^\s,]+(?:, [^\s,]+)*)/gm)];
  return rows.map(([, names]) => names!.split(', '));
}

/** What each file of a folder imports, also only for its types, by their paths in it. */
function readImports(folder: string): Map<string, string[]> {
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'));
  return new Map(
    files.map((file) => {
      const { importedFiles } = ts.preProcessFile(readFileSync(join(folder, file), 'utf8'));
      const own = importedFiles.filter(({ fileName }) => fileName.startsWith('.'));
      return [file, own.map(({ fileName }) => join(dirname(file), fileName).replace(/\.js$/, '.ts'))];
    }),
  );
}

function wrongImports(imports: Map<string, string[]>, layers: string[][]): string[] {
  const rowOf = (file: string): number =>
    layers.findIndex((names) => names.includes(dirname(file)) || names.includes(file.replace(/\.ts$/, '')));
  return [...imports].flatMap(([file, imported]) =>
    rowOf(file) < 0
      ? [`${file} is in no layer`]
      : imported.filter((other) => rowOf(other) < rowOf(file)).map((other) => `${file} imports ${other}, from above`),
  );
}

/** None if there is none; else some of them. */
function circles(imports: Map<string, string[]>): string[] {
  const found: string[] = [];
  const done = new Set<string>();
  const visit = (file: string, path: string[]): void => {
    const at = path.indexOf(file);
    if (at >= 0) found.push([...path.slice(at), file].join(' → '));
    if (done.has(file)) return;
    done.add(file);
    for (const other of imports.get(file) ?? []) visit(other, [...path, file]);
  };
  for (const file of imports.keys()) visit(file, []);
  return found;
}

const made: string[] = [];
afterAll(() => {
  for (const folder of made) rmSync(folder, { recursive: true });
});

/** A made-up folder of sources. */
function sources(files: Record<string, string>): string {
  const folder = mkdtempSync(join(tmpdir(), 'forklock-layers-'));
  made.push(folder);
  for (const [file, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, file)), { recursive: true });
    writeFileSync(join(folder, file), text);
  }
  return folder;
}

test('a folder imports only from those below it', () => {
  expect(wrongImports(readImports(join(root, 'src')), readLayers())).toEqual([]);
});

test('each layer has files', () => {
  const imports = readImports(join(root, 'src'));
  const empty = readLayers()
    .flat()
    .filter((name) => ![...imports.keys()].some((file) => file === `${name}.ts` || dirname(file) === name));
  expect(empty).toEqual([]);
});

test('no file is in a circle of imports', () => {
  expect(circles(readImports(join(root, 'src')))).toEqual([]);
});

test('every import is seen, whatever its form', () => {
  const imports = readImports(join(root, 'src'));
  expect([...imports.values()].flat().filter((other) => !imports.has(other))).toEqual([]);
  const forms = [
    "import './a.js';",
    "import type { B } from './b.js';",
    "import { type C } from './c.js';",
    "export { d } from './d.js';",
    "export * from './e.js';",
    "const f = () => import('./f.js');",
    "let g: import('./g.js').G;",
  ];
  const seen = readImports(sources({ 'x/all.ts': forms.join('\n') })).get('x/all.ts');
  expect(seen).toEqual(['x/a.ts', 'x/b.ts', 'x/c.ts', 'x/d.ts', 'x/e.ts', 'x/f.ts', 'x/g.ts']);
});

test('what is wrong is found', () => {
  const imports = readImports(
    sources({
      'memory/up.ts': "import type { Wait } from '../wait/wait.js';",
      'wait/wait.ts': "import '../memory/words.js'; import '../elsewhere/other.js';",
      'memory/words.ts': "import { type One } from './one.js';",
      'memory/one.ts': "import { type Two } from './two.js';",
      'memory/two.ts': "import { type Words } from './words.js';",
      'elsewhere/other.ts': '',
    }),
  );
  expect(wrongImports(imports, readLayers()).sort()).toEqual([
    'elsewhere/other.ts is in no layer',
    'memory/up.ts imports wait/wait.ts, from above',
    'wait/wait.ts imports elsewhere/other.ts, from above',
  ]);
  expect(circles(imports)).toHaveLength(1);
});
