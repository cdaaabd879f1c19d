// The baselines in other languages. Each is a function that runs the program once and returns the JSON it printed, or
// null where the machine can't build or run it.
import { execFile, spawnSync } from 'node:child_process';
import { mkdirSync, statSync } from 'node:fs';
import { promisify } from 'node:util';
import { here, output } from './child.mjs';

export const NO_COMPILER = 'no C compiler (cc)';
export const NO_PYTHON = 'no python3';

const changed = (path) => statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;

/** Compiles c/<name>.c when it is newer than its program. */
export async function cProgram(name) {
  const source = here(`c/${name}.c`);
  const program = here(`build/${name}`);
  if (changed(program) <= Math.max(changed(source), changed(here('c/common.h')))) {
    mkdirSync(here('build'), { recursive: true });
    try {
      await promisify(execFile)('cc', ['-O2', '-pthread', '-o', program, source], { timeout: 60_000 });
    } catch (error) {
      if (error.code === 'ENOENT') return null;
      throw error;
    }
  }
  return (...args) => output(program, args);
}

export const hasPython = spawnSync('python3', ['--version'], { timeout: 5000 }).status === 0;

export function pythonProgram(name) {
  if (!hasPython) return null;
  return (...args) => output('python3', ['-B', here(`python/${name}.py`), ...args]);
}
