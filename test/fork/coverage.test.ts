import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { program } from '../support/program.js';

const directory = mkdtempSync(join(tmpdir(), 'forklock-coverage-'));
afterAll(() => rmSync(directory, { recursive: true }));

interface Counted {
  functionName: string;
  ranges: { count: number }[];
}

/** How often a function of a module ran, by the pid of the process that says so. */
function counts(folder: string, module: string, name: string): Record<string, number> {
  const found: Record<string, number> = {};
  for (const file of readdirSync(folder)) {
    const { result } = JSON.parse(readFileSync(join(folder, file), 'utf8'));
    const script = result.find(({ url }: { url: string }) => url.endsWith(module));
    const entry = script?.functions.find(({ functionName }: Counted) => functionName === name) as Counted | undefined;
    if (entry) found[file.split('-')[1]!] = entry.ranges[0]!.count;
  }
  return found;
}

test('What ran in forked children is in files of their own with NODE_V8_COVERAGE', async () => {
  const module = join(directory, 'covered.mjs');
  writeFileSync(module, 'export function work() { return 1 }\n');
  const folder = join(directory, 'coverage');
  const { printed, stderr, code } = await program(
    `
    const { work } = await import(${JSON.stringify(module)});
    const ends = [() => {}, () => process.exit(3)];
    for (const end of ends) {
      const pid = fork();
      if (pid === 0) {
        work();
        process.exit();
      }
      waitpid(pid);
      const child = new (forklock.getContext('fork').Process)({ target: () => { work(); end(); } });
      child.start();
      child.join();
      print([pid, child.pid]);
    }
    const child = new forklock.Process({ target: [${JSON.stringify(module)}, 'work'] });
    child.start();
    child.join();
    print([child.pid, process.pid]);
    `,
    { env: { NODE_V8_COVERAGE: folder }, deadline: 40_000 },
  );
  expect({ stderr, code }).toEqual({ stderr: '', code: 0 });
  const pids = printed.flat().map(String);
  const parent = pids.pop()!;
  const found = counts(folder, '/covered.mjs', 'work');
  for (const pid of pids) expect(found[pid]).toBe(1);
  expect(found[parent] ?? 0).toBe(0);
});
