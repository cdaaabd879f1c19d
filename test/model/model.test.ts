import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { gone, namesIn, touchables, unnamed } from './names.js';
import { CI, NIGHTLY } from './sizes.mjs';

/** The models are run by `npm run model`, which needs spin; here is what ties them to the code. */
const ROOT = new URL('../../', import.meta.url);
const read = (path: string): string => readFileSync(new URL(path, ROOT), 'utf8');
const files = readdirSync(new URL('test/model', ROOT)).filter((file) => file.endsWith('.pml'));
const texts = new Map(files.map((file) => [file, read(`test/model/${file}`)]));
const words = touchables([...texts.values()]);

describe('each step of a model', () => {
  for (const [file, text] of texts) {
    test(`names code that is there: ${file}`, () => {
      expect(gone(namesIn(file, text), read)).toEqual([]);
    });

    test(`has a name: ${file}`, () => {
      expect(unnamed(file, text, words)).toEqual([]);
    });
  }

  test('is noticed when its line of code is gone', () => {
    const names = namesIn('x.pml', '/* src/sync/core/owned.ts: `if (m.guess(o.word, w)) continue;` */\nword[L] = 0;');
    expect(gone(names, read)).toEqual(['x.pml:1: src/sync/core/owned.ts has no `if (m.guess(o.word, w)) continue;`']);
    const here = namesIn('take.pml', texts.get('take.pml')!);
    expect(here.length).toBeGreaterThan(10);
    const changed = read('src/sync/core/owned.ts').replace('const w = m.load(o.word);', 'const w = m.peek(o.word);');
    const without = changed.replaceAll('const w = m.load(o.word);', '');
    expect(gone(here, (path) => (path.endsWith('owned.ts') ? without : read(path)))).not.toEqual([]);
  });

  test('is noticed when it has no name', () => {
    expect(unnamed('x.pml', 'atomic { skip }', words)).toHaveLength(1);
    expect(unnamed('x.pml', '  word[L] = 0;', words)).toHaveLength(1);
    expect(unnamed('x.pml', '  atomic { wake_one(1) };', words)).toHaveLength(1);
    const two = '/* spec: one */\natomic {\n  word[L] = 0\n};\nmembers++;';
    expect(unnamed('x.pml', two, words)).toEqual(['x.pml:5: members++;']);
  });

  test('is a step if it touches a word in any way', () => {
    for (const word of ['word', 'alive', 'asleep', 'members', 'readers', 'wake_one', 'LIVES', 'IS_STALE']) {
      expect(words).toContain(word);
    }
  });
});

describe('the sizes', () => {
  const sizes = [...CI, ...NIGHTLY];

  test('have 0, 1, 2 and 3 kills of each model', () => {
    for (const model of ['lock', 'two_locks', 'rwlock']) {
      for (const kills of [0, 1, 2, 3]) {
        const some = CI.filter((c) => c.model === model && c.expected === 'ok' && c.flags.includes(`KILLS=${kills}`));
        expect(some, `${model}, ${kills} kills`).not.toEqual([]);
      }
    }
  });

  test('have every bug on purpose that the models have', () => {
    const all = ['lock.pml', 'rwlock.pml'].flatMap((file) => {
      const list = /Bugs on purpose:(.*?)\*\//s.exec(texts.get(file)!)![1]!;
      return list.match(/\b[A-Z]+(?:_[A-Z]+)+\b/g)!;
    });
    expect(all.length).toBeGreaterThan(20);
    const hunted = new Set(sizes.filter((c) => c.expected !== 'ok').map((c) => c.mutant));
    expect(all.filter((mutant) => !hunted.has(mutant))).toEqual([]);
  });
});
