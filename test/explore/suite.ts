import { LONG } from '../support/long.js';
import type { Change, Core } from './core.js';
import { loadCore } from './core.js';
import { explore, type Report } from './explorer.js';
import type { Scenario } from './world.js';

/** How large a search is: see run.mjs. The short form looks at the first states and schedules of each story only. */
export const FULL = process.env.EXPLORE === 'full';
export const SHORT = !FULL && !LONG && process.env.EXPLORE !== 'all';

/** One exploration: a few participants, and what may happen to them. */
export interface Story {
  title: string;
  build: (core: Core) => Scenario;
  /**
   * Too large to be exhausted in the time that there is: at most so many states, then random schedules (with
   * EXPLORE=full as many states as there is memory for). The others are exhausted; it is a failure if they can't be.
   */
  bounded?: { states: number; walks: number };
  /** Limits made so low that the story comes to them. */
  narrow?: readonly Change[];
}

/** A bug on purpose, and the story in which the explorer must find it. */
export interface Mutant extends Change {
  title: string;
  caughtBy: string;
}

export interface Suite {
  name: string;
  stories: Story[];
  mutants: Mutant[];
}

/** A story that was meant to be exhausted must be within this. */
const MOST_STATES = FULL ? 25_000_000 : 4_000_000;
/** What a story has in the short form. */
const FIRST = { states: 3_000, walks: 25 };

/** Another one each time, unless EXPLORE_SEED repeats one. */
export const SEED = Number(process.env.EXPLORE_SEED ?? Date.now() % 1_000_000_007);

export function tell({ build, bounded }: Story, core: Core, seed = SEED): Report {
  if (SHORT) return explore(build(core), core, { ...FIRST, seed });
  return explore(build(core), core, {
    states: FULL || !bounded ? MOST_STATES : bounded.states,
    walks: (bounded?.walks ?? 0) * (FULL ? 10 : 1),
    seed,
  });
}

/** Explores the story with the bug in the code. */
export function hunt(mutant: Mutant, stories: readonly Story[]): Report {
  const story = stories.find(({ title }) => title === mutant.caughtBy);
  if (!story) throw new Error(`there is no story '${mutant.caughtBy}'`);
  return tell(story, loadCore(mutant, ...(story.narrow ?? [])), 1); // one and the same seed, so that to find it is not a matter of luck
}

export function summary({ states, exhausted, walks, seed, ms, wrong }: Report): string {
  const extent = wrong ? '' : exhausted ? ', all there are' : `, not all; and ${walks} random schedules, seed ${seed}`;
  return `${states} states${extent}, ${(ms / 1000).toFixed(1)} s`;
}
