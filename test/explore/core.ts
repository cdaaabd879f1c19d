import { readFileSync } from 'node:fs';
import { posix } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runInThisContext } from 'node:vm';
import ts from 'typescript';

/**
 * The code under test: the TypeScript of src/sync/core as it is shipped, or with one line of it changed (a mutant).
 * It is read from the source, transpiled and run in memory, so an explored algorithm can't drift from the real one.
 * One thing is changed in all of it: `#field` becomes `_field`, so that the explorer can see, copy and compare the
 * local state of a wait (two waits with equal fields will do the same from there on).
 */
export interface Core {
  counting: typeof import('../../src/sync/core/counting.js');
  flag: typeof import('../../src/sync/core/flag.js');
  meeting: typeof import('../../src/sync/core/meeting.js');
  owned: typeof import('../../src/sync/core/owned.js');
  permits: typeof import('../../src/sync/core/permits.js');
  sharing: typeof import('../../src/sync/core/sharing.js');
  signals: typeof import('../../src/sync/core/signals.js');
  words: typeof import('../../src/memory/words.js');
}

/** A bug on purpose: `from` must be in `file` (below src/) exactly once. */
export interface Change {
  file: string;
  from: string;
  to: string;
}

const SOURCE = fileURLToPath(new URL('../../src/', import.meta.url));
const FILES = ['counting', 'flag', 'meeting', 'owned', 'permits', 'sharing', 'signals'] as const;

function sourceOf(file: string, changes: readonly Change[]): string {
  let text = readFileSync(SOURCE + file, 'utf8');
  for (const change of changes) {
    if (change.file !== file) continue;
    const parts = text.split(change.from);
    if (parts.length !== 2) {
      const found = parts.length === 1 ? 'is gone' : `is there ${parts.length - 1} times`;
      throw new Error(`${file}: the line that the mutant stands for ${found}:\n${change.from}`);
    }
    text = parts.join(change.to);
  }
  return text;
}

const compiled = new Map<string, string>();

/** The JavaScript of a file below src/. `target`: before ES2017 there is no async, and promises can be of any class. */
export function compile(file: string, changes: readonly Change[], target = ts.ScriptTarget.ES2022): string {
  if (changes.some((change) => change.file === file)) return transpile(file, changes, target);
  const key = `${target} ${file}`;
  const text = compiled.get(key) ?? transpile(file, [], target);
  compiled.set(key, text);
  return text;
}

function transpile(file: string, changes: readonly Change[], target: ts.ScriptTarget): string {
  const visible = sourceOf(file, changes).replace(/(?<!\w)#(?=[a-z])/g, '_');
  const { outputText, diagnostics } = ts.transpileModule(visible, {
    fileName: file,
    reportDiagnostics: true,
    compilerOptions: { module: ts.ModuleKind.CommonJS, target, esModuleInterop: true },
  });
  const [wrong] = diagnostics ?? [];
  if (wrong) throw new Error(`${file}: ${ts.flattenDiagnosticMessageText(wrong.messageText, '\n')}`);
  return outputText;
}

type Module = (exports: object, require: (name: string) => object) => void;

/** What the core must not touch: it works over the `Memory` that it is given. */
const NATIVE = {
  native: (): never => {
    throw new Error('the core called into the addon');
  },
};

export function loadCore(...changes: Change[]): Core {
  const loaded = new Map<string, object>([['native.ts', NATIVE]]);
  const load = (file: string): object => {
    const known = loaded.get(file);
    if (known) return known;
    const exports = {};
    loaded.set(file, exports);
    const wrapped = `(function (exports, require) {${compile(file, changes)}\n})`;
    const run = runInThisContext(wrapped, { filename: `explored/${file}` }) as Module;
    run(exports, (name) => {
      if (!name.startsWith('.')) throw new Error(`${file} imports ${name}: a core file imports nothing from outside`);
      return load(posix.join(posix.dirname(file), name).replace(/\.js$/, '.ts'));
    });
    return exports;
  };
  const core = Object.fromEntries(FILES.map((name) => [name, load(`sync/core/${name}.ts`)]));
  const other = changes.find(({ file }) => !loaded.has(file));
  if (other) throw new Error(`${other.file} is not a file that the core imports`);
  return { ...core, words: load('memory/words.ts') } as unknown as Core;
}
