import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { node } from '../support/script.js';

const scratch = mkdtempSync(join(tmpdir(), 'forklock-test-'));
afterAll(() => rmSync(scratch, { recursive: true }));
const FORKLOCK = JSON.stringify(new URL('../../dist/forklock.js', import.meta.url).href);

function write(name: string, source: string): string {
  const file = join(scratch, name);
  writeFileSync(file, source);
  return file;
}

test('a program that preloads itself runs its guarded part once', async () => {
  const main = write(
    'main.mjs',
    `import { writeSync } from 'node:fs';
     import { Process, parentProcess, setForkserverPreload } from ${FORKLOCK};
     const print = (value) => writeSync(1, JSON.stringify(value) + '\\n');
     print(['imported', parentProcess()?.name ?? null, parentProcess()?.pid ?? process.pid]);
     export function job() { print(['job', parentProcess().name, parentProcess().pid]); }
     if (parentProcess() === null) {
       print('guarded');
       setForkserverPreload([import.meta.url]);
       for (let i = 0; i < 3; i++) { const p = new Process({ target: job }); p.start(); p.join(); print(p.exitCode); }
       print(process.pid);
     }`,
  );
  const { printed, stderr, code } = await node([main]);
  const pid = printed.pop();
  expect({ stderr, code }).toEqual({ stderr: '', code: 0 });
  const [imported, job] = [
    ['imported', 'MainProcess', pid],
    ['job', 'MainProcess', pid],
  ];
  expect(printed).toEqual([['imported', null, pid], 'guarded', imported, job, 0, job, 0, job, 0]);
});

test('a preloaded module that preloads, and starts processes later, starts none in the server', async () => {
  const module = write(
    'starts.mjs',
    `import { Process, setForkserverPreload } from ${FORKLOCK};
     setForkserverPreload(['node:fs']);
     export function job() { process.exitCode = 5; }
     export let refused;
     export function tell() { console.log(JSON.stringify(refused)); }
     setTimeout(() => setImmediate(() => {
       // When it has been imported. The server warms up then, and its event loop still turns.
       try { new Process({ target: job }).start(); refused = 'started'; } catch (error) { refused = error.code; }
     }), 0);
     for (let i = 0; i < 3; i++) await new Promise((resolve) => setTimeout(resolve, 1));`,
  );
  const main = write(
    'preloads.mjs',
    `import { Process, parentProcess, setForkserverPreload } from ${FORKLOCK};
     setForkserverPreload([${JSON.stringify(module)}]);
     if (parentProcess() === null) for (let i = 0; i < 2; i++) {
       const p = new Process({ target: [${JSON.stringify(module)}, 'tell'] });
       p.start(); p.join(); console.log(p.exitCode);
     }`,
  );
  const { printed, stderr, code } = await node([main]);
  expect({ stderr, code }).toEqual({ stderr: '', code: 0 });
  expect(printed).toEqual(['ERR_FORKLOCK_PROCESS', 0, 'ERR_FORKLOCK_PROCESS', 0]);
});
