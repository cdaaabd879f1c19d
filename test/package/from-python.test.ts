import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';
import { startGroup } from '../support/group.js';

const root = fileURLToPath(new URL('../..', import.meta.url));
const page = readFileSync(join(root, 'docs/from-python.md'), 'utf8');
const checks = new URL('../programs/checks.mjs', import.meta.url).href;

const scratch = mkdtempSync(join(tmpdir(), 'forklock-python-'));
mkdirSync(join(scratch, 'node_modules'));
symlinkSync(root, join(scratch, 'node_modules', 'forklock'));
afterAll(() => rmSync(scratch, { recursive: true }));

interface Row {
  section: string;
  line: number;
  python: string;
  /** The code that the block of the section and the row make; undefined where there is nothing yet. */
  source: string | undefined;
  here: string;
}

function cellsOf(line: string): string[] {
  return line
    .slice(1, -1)
    .split(/(?<!\\)\|/)
    .map((cell) => cell.trim().replaceAll('\\|', '|'));
}

/** `expression // → value` and `expression // throws CODE` become calls that check it. */
function checked(line: string): string {
  const [, code, what, expected] = /^(.*?);?\s*\/\/ (→|throws) (.*)$/.exec(line) ?? [];
  if (code === undefined) return line;
  return what === '→'
    ? `same(${JSON.stringify(line)}, (${code}), (${expected}));`
    : `await fails(${JSON.stringify(line)}, async () => (${code}), '${expected}');`;
}

function rows(): Row[] {
  const found: Row[] = [];
  let section = '';
  let setup = '';
  const lines = page.split('\n');
  for (let i = 0; i < lines.length; i++) {
    const line = lines[i]!;
    if (line.startsWith('## ')) [section, setup] = [line.slice(3), ''];
    if (line === '```js') {
      const end = lines.indexOf('```', i);
      setup = lines.slice(i + 1, end).join('\n');
      i = end;
    }
    const cells = line.startsWith('|') ? cellsOf(line) : [];
    if (cells.length !== 3 || cells[0] === 'Python' || cells[0] === '---' || lines[i + 1]?.startsWith('|---')) continue;
    const [python, here] = cells as [string, string];
    const code = [...here.matchAll(/`([^`]*)`/g)].map(([, snippet]) => checked(snippet!));
    const source =
      code.length === 0
        ? undefined
        : `${setup}
import { parentProcess as parentOfThis } from 'forklock';
import { done, fails, same } from '${checks}';
if (parentOfThis() === null) {
${code.join('\n')}
done();
}
`;
    found.push({ section, line: i + 1, python, here, source });
  }
  return found;
}

const run = (file: string) => startGroup([process.execPath, file], { cwd: scratch }).ended;

const all = rows();

describe.for([...new Set(all.map(({ section }) => section))])(
  'docs/from-python.md: %s',
  { concurrent: true },
  (section) => {
    for (const { line, python, here, source } of all.filter((row) => row.section === section)) {
      test(`line ${line}: ${python.replaceAll('`', '')}`, async () => {
        if (source === undefined) {
          expect(here).toMatch(/^(not yet|none)$/);
          return;
        }
        const file = join(scratch, `line-${line}.mjs`);
        writeFileSync(file, source);
        const { stdout, stderr, code, signal } = await run(file);
        expect({ code, signal }, `${source}\n${stdout}\n${stderr}`).toEqual({ code: 0, signal: null });
        expect(stdout.trimEnd().split('\n').at(-1)).toMatch(/^checks: [1-9]/);
      });
    }
  },
);

test('docs/from-python.md: all sections have rows', () => {
  expect(all.length).toBeGreaterThan(120);
});
