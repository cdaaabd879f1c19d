import { process } from '../../thread.js';

/** V8's own function. A minor collection is one of new objects only. */
type Collect = (options?: { type: 'minor' }) => void;

let collect: Collect | undefined;

/** Else new objects would soon be so many that each child of a fork collects them anew, with all its helper threads. */
export function collectGarbage(): void {
  const { setFlagsFromString } = process.getBuiltinModule('node:v8');
  const { runInNewContext } = process.getBuiltinModule('node:vm');
  const given = 'gc' in globalThis;
  if (!given) setFlagsFromString('--expose-gc');
  collect = runInNewContext('gc') as Collect;
  if (!given) setFlagsFromString('--no-expose-gc');
  collect();
}

/** How much a short process allocates, in arrays of 4 KiB. */
const ROOM = 64;

/**
 * After `collectGarbage`: what is allocated from here on has pages that this process has to itself already, which else
 * would be a page fault each; and there is room for it without a collection. V8 moves what lives from one half of the
 * space for new objects to the other and back, so it is done twice.
 */
export function makeRoom(): void {
  for (let half = 0; half < 2; half++) {
    for (let i = 0; i < ROOM; i++) new Array(510).fill(i);
    collect?.({ type: 'minor' });
  }
}
