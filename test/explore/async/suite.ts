import { type Change, type Core, loadCore } from '../core.js';
import { type Found, search } from '../schedule.js';
import { FULL, SEED, SHORT } from '../suite.js';
import type { Flaw } from './waiter.js';
import { type AsyncScenario, schedules } from './world.js';

/** An exploration of JavaScript threads, promises and waiters, by schedules instead of states. */
export interface AsyncStory {
  title: string;
  build: (core: Core) => AsyncScenario;
  /** Random schedules; default 2000. */
  walks?: number;
  /** Limits made so low that the story comes to them. */
  narrow?: readonly Change[];
}

/** A bug on purpose: in the shipped code, or in the waiter (a line of native/waiter.cc left out). */
export type AsyncMutant = { title: string; caughtBy: string } & (Change | { flaw: Flaw });

export interface AsyncSuite {
  name: string;
  stories: AsyncStory[];
  mutants: AsyncMutant[];
}

/** Every schedule that leaves the usual one once, some of those that leave it twice, and then random ones. */
const MOST = FULL ? 20_000 : SHORT ? 100 : 1000;

export function tellAsync({ build, walks = 2000, narrow = [] }: AsyncStory, mutant?: AsyncMutant): Found {
  const changes = [...narrow, ...(mutant && 'file' in mutant ? [mutant] : [])];
  const flaw = mutant && 'flaw' in mutant ? mutant.flaw : undefined;
  const inCore = changes.filter(({ file }) => /^(sync\/core|memory\/words|wait\/wait)/.test(file));
  const run = schedules(build, loadCore(...inCore), changes, flaw);
  // A mutant is looked for with one and the same seed, so that to find it is not a matter of luck.
  const random = mutant
    ? { walks: 60_000, seed: 1 }
    : { walks: Math.ceil(walks * (FULL ? 100 : SHORT ? 0.05 : 1)), seed: SEED };
  return search(run, { deviations: 2, most: MOST, ...random });
}

export function huntAsync(mutant: AsyncMutant, stories: readonly AsyncStory[]): Found {
  const story = stories.find(({ title }) => title === mutant.caughtBy);
  if (!story) throw new Error(`there is no story '${mutant.caughtBy}'`);
  return tellAsync(story, mutant);
}

export function summaryAsync({ schedules: few, exhausted, walks, seed, ms, wrong }: Found): string {
  const extent = wrong ? '' : exhausted ? ', all with at most two deviations' : ' with at most two deviations, not all';
  return `${few} schedules${extent}, and ${walks} random ones, seed ${seed}, ${(ms / 1000).toFixed(1)} s`;
}
