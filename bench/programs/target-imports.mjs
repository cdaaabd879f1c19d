// As target.mjs, in a module like everybody's: it imports the package and two modules of Node.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Lock } from 'forklock';

export function stamp(view) {
  view.set(0, Number(process.hrtime.bigint()));
}

/** What a target does with them; they are imported by name, so that none can be left out. */
export function use() {
  return [new Lock(), readFileSync(join(import.meta.dirname, 'target.mjs'), 'utf8')];
}
