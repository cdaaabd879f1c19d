import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { LONG_ONLY } from '../support/long.js';

test('native/ refuses segment files made at random, and survives random words in those that it takes', {
  ...LONG_ONLY,
  timeout: 300_000,
}, () => {
  const fuzz = fileURLToPath(new URL('../fuzz/native.mjs', import.meta.url));
  const seed = (Date.now() / 1000) >>> 0;
  const args = [fuzz, '--random', '--seed', `${seed}`, '--runs', '2000', '--seconds', '200'];
  const { status, signal, stdout, stderr } = spawnSync(process.execPath, args, {
    encoding: 'utf8',
    timeout: 290_000,
  });
  expect({ status, signal, stderr }, `seed ${seed}`).toEqual({ status: 0, signal: null, stderr: '' });
  const [, runs, opened] = /^Done (\d+) runs; (\d+) files were taken for segments$/m.exec(stdout) ?? [];
  expect(Number(runs)).toBeGreaterThan(Number(opened));
  // One of fifty is: of so many none only if the fuzz does not know the layout any more, and tries nothing that matters.
  expect(Number(opened), stdout).toBeGreaterThan(0);
});
