import { native } from '../../native.js';
import { ALONE, runsAlone } from '../fork/why-no-fork.js';
import { variablesOf } from '../node/environment.js';
import { join, split } from '../node/options.js';

/**
 * Options of node that are about its main program, its debugger or what it does instead of running a program, not about the
 * processes that it starts. (The environment goes along by itself, files of it have been read.)
 */
const NOT_INHERITED = new RegExp(
  '^--(no-)?(inspect|debug-port|(experimental-)?test|watch|input-type|check|syntax-check|interactive|run|eval|print|entry-url|env-file|' +
    'snapshot-blob|build-snapshot|build-sea|experimental-sea-config|help|version|v8-options|completion-bash|prof-process)(-|=|$)|' +
    '^-([cievh]|p|pe)$',
);

/**
 * What of node's arguments, and of those in NODE_OPTIONS, a child gets. Which options have a value as an argument of its own,
 * Node alone knows; but such a value never begins with a dash, and every argument of node that does not is one.
 */
function inherited(given: readonly unknown[]): string[] {
  const out: string[] = [];
  let isInherited = false;
  for (const argument of given) {
    if (typeof argument !== 'string') continue;
    if (argument.startsWith('-')) {
      const [name] = argument.split('=', 1) as [string];
      isInherited = !/^--?$/.test(name) && !NOT_INHERITED.test(name.replaceAll('_', '-'));
    }
    if (isInherited) out.push(argument);
  }
  return out;
}

/** What of node's own arguments a child gets. */
export function inheritedArguments(): string[] {
  return inherited(Array.isArray(process.execArgv) ? process.execArgv : []);
}

/**
 * V8 posts itself a full garbage collection for when the program is idle. In a fork server it never comes to that, and
 * each of its children would do it instead, which takes longer than all the rest of a short one.
 */
const NOT_WHEN_IDLE = '--no-memory-reducer';

/** What a fork server needs; V8 without any threads where these cannot be carried over a fork. */
export function argumentsToFork(): string[] {
  const canCarry = native().whyNoFork() === '' && !native().startsHidden();
  return canCarry || runsAlone() ? [NOT_WHEN_IDLE] : [NOT_WHEN_IDLE, ...ALONE];
}

/** The environment in which a node can start: without a debugger's port, which is taken. */
export function startingEnvironment(env: string): string[] {
  return Object.entries(variablesOf(env)).map(
    ([name, value]) => `${name}=${name === 'NODE_OPTIONS' ? startingOptions(value) : value}`,
  );
}

function startingOptions(options: string): string {
  const given = split(options);
  const kept = inherited(given);
  return kept.length === given.length ? options : join(kept);
}
