// Builds what is not built yet: the addon, and dist/. `npm test` does so, which may run twice at once in one folder: who is
// second waits for the build of the first, has nothing to do itself, and takes nothing away from under the tests.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));
const COMMON = ['package.json', 'package-lock.json'];
const PARTS = [
  { script: 'build:native', from: [...COMMON, 'binding.gyp', 'native'], to: ['build/Release/forklock.node'] },
  {
    script: 'build:ts',
    from: [...COMMON, 'tsconfig.json', 'tsconfig.build.json', 'rolldown.config.mjs', 'src'],
    to: ['dist'],
  },
];

function* filesIn(path) {
  const full = join(root, path);
  if (!existsSync(full)) return;
  if (!statSync(full).isDirectory()) yield path;
  else for (const name of readdirSync(full).sort()) yield* filesIn(join(path, name));
}

/** Of what it is made of, by what, and of what has come of it. */
function digest({ from, to }) {
  const hash = createHash('sha256');
  hash.update(JSON.stringify([process.version, process.arch, process.env.CXX ?? null, process.env.CXXFLAGS ?? null]));
  for (const file of [...from, ...to].flatMap((path) => [...filesIn(path)])) {
    hash.update(JSON.stringify(file)).update(
      createHash('sha256')
        .update(readFileSync(join(root, file)))
        .digest(),
    );
  }
  return hash.digest('hex');
}

function build(part) {
  const stamp = join(root, 'node_modules', '.cache', `forklock-${part.script.replace(':', '-')}`);
  const isMade = part.to.every((path) => existsSync(join(root, path)));
  if (isMade && existsSync(stamp) && readFileSync(stamp, 'utf8') === digest(part)) return;
  const { status } = spawnSync('npm', ['run', '--silent', part.script], { cwd: root, stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 1);
  writeFileSync(stamp, digest(part));
}

mkdirSync(join(root, 'node_modules', '.cache'), { recursive: true });
const isAlone = process.argv[2] === '--alone';
if (!isAlone) {
  const lock = join(root, 'node_modules', '.cache', 'forklock-build.lock');
  const again = [process.execPath, fileURLToPath(import.meta.url), '--alone'];
  const { error, status } = spawnSync('flock', [lock, ...again], { stdio: 'inherit' });
  if (error?.code !== 'ENOENT') process.exit(status ?? 1);
}
for (const part of PARTS) build(part);
