import { native } from '../native.js';
import { variablesOf } from './environment.js';
import { ALONE, runsAlone } from './why-no-fork.js';

/** Options of node that are about its main program or its debugger, not about the processes that it starts. */
const NOT_INHERITED = /^(--inspect|--debug-port|--test|--watch|--input-type|--check$|-c$|--interactive$|-i$|--run$)/;
const EVALUATED = /^(-e|-p|-pe|--eval|--print)$/;
const WITH_VALUE = /^(--inspect-port|--debug-port|--inspect-publish-uid|--watch-path|--input-type)$/;

/** What of node's own arguments a child gets. */
export function inheritedArguments(): string[] {
  const { execArgv } = process;
  const code = (process as { _eval?: string })._eval;
  const out: string[] = [];
  for (let i = 0; i < execArgv.length; i++) {
    const argument = execArgv[i]!;
    if (EVALUATED.test(argument) || /^--(eval|print)=/.test(argument)) {
      if (code !== undefined && execArgv[i + 1] === code) i++;
    } else if (NOT_INHERITED.test(argument)) {
      if (WITH_VALUE.test(argument)) i++;
    } else {
      out.push(argument);
    }
  }
  return out;
}

/**
 * V8 posts itself a full garbage collection for when the program is idle. In a fork server it never comes to that, and
 * each of its children would do it instead, which takes longer than all the rest of a short one.
 */
const NOT_WHEN_IDLE = '--no-memory-reducer';

/** What a fork server needs; V8 without any threads where these cannot be carried over a fork. */
export function argumentsToFork(): string[] {
  return native().whyNoFork() === '' || runsAlone() ? [NOT_WHEN_IDLE] : [NOT_WHEN_IDLE, ...ALONE];
}

/** The environment in which a node can start: without a debugger's port, which is taken. */
export function startingEnvironment(env: string): string[] {
  return Object.entries(variablesOf(env)).map(([name, value]) =>
    name === 'NODE_OPTIONS' ? `${name}=${value.replace(/(^|\s)--(inspect|debug-port)\S*/g, '$1')}` : `${name}=${value}`,
  );
}
