// Builds the small native programs that tests run, into build/test; again only when a source is newer.
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, renameSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));
const modified = (path) => statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;

export function compile(name, folder, sources, options = []) {
  const out = join(root, 'build', 'test');
  const program = join(out, name);
  const from = join(root, folder);
  const newest = Math.max(...readdirSync(from).map((file) => modified(join(from, file))));
  if (modified(program) > newest) return program;
  mkdirSync(out, { recursive: true });
  const fresh = `${program}.${process.pid}`; // others may run the old one, or build it, too
  const flags = ['-std=c++17', '-Wall', '-Wextra', '-Werror', '-O1', '-pthread', ...options];
  execFileSync(
    process.env.CXX ?? 'g++',
    [...flags, '-o', fresh, ...sources.map((source) => join(from, source)), '-ldl'],
    {
      stdio: ['ignore', 'inherit', 'inherit'],
    },
  );
  renameSync(fresh, program);
  return program;
}
