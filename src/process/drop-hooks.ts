import { EventEmitter } from 'node:events';
import { process } from '../thread.js';

const emitter = EventEmitter.prototype;
const METHODS = Object.getOwnPropertyNames(emitter).filter(
  (name) => name !== 'constructor' && typeof emitter[name as keyof typeof emitter] === 'function',
);

/** As they were when this package was loaded. */
const { emit, eventNames, off, rawListeners } = emitter;
const exiting = Object.getOwnPropertyDescriptor(process, '_exiting');

/** What the types of Node do not have. */
const node = process as typeof process & {
  _exiting: boolean;
  reallyExit(code: unknown): never;
  /** Of node:domain, once somebody has loaded it. */
  domain?: { exit(): void } | null;
  finalization?: unknown;
};

const sourceOf = (value: unknown): string => Function.prototype.toString.call(value);

const NODES_EXIT = /^function exit\(code\) \{[\s\S]*\bprocess\.reallyExit\(process\.exitCode \|\| kNoFailure\)/;
/** What ends the process, whatever somebody has put in its place. */
export const nodesExit = NODES_EXIT.test(sourceOf(process.exit)) ? process.exit : exit;

/** As Node's, of which somebody had made something else before this package was loaded. */
function exit(...given: [code?: number | string]): never {
  if (given.length > 0) process.exitCode = given[0];
  if (!node._exiting) {
    node._exiting = true;
    process.emit('exit', Number(process.exitCode ?? 0));
  }
  return node.reallyExit(process.exitCode ?? 0);
}

/** Node's own listeners: with what signals are heard once somebody listens, warnings printed, the size of a terminal followed. */
const NODES_LISTENER =
  /^function (start|stop)ListeningIfSignal\(|^\(eventName\) => \{\s*if \(eventName === 'multipleResolves'\)|^function onWarning\(|^function refreshStd(out|err)OnSigWinch\(/;

/**
 * What of the parent would run at the end of its child, or at an error that nobody has caught, whichever way it has hooked
 * in: as listener, in the place of a method of `process` (signal-exit, source-map-support), by a domain, by
 * `process.finalization`. It is about the parent's work: its lock files, temporary directories, connections.
 */
export function dropHooks(): void {
  putMethodsBack();
  dropListeners();
  while (node.domain) node.domain.exit();
  if (process.hasUncaughtExceptionCaptureCallback()) process.setUncaughtExceptionCaptureCallback(null);
  process.exitCode = undefined;
  if ('finalization' in process) node.finalization = undefined; // Node makes another one when it is asked for it
}

function putMethodsBack(): void {
  for (const name of METHODS) {
    for (const object of [process, Object.getPrototypeOf(process)]) {
      if (Object.hasOwn(object, name)) delete object[name];
    }
  }
  if (process.emit !== emit) define('emit', emit);
  if (process.exit !== nodesExit) define('exit', nodesExit);
  if (exiting) Object.defineProperty(process, '_exiting', exiting);
}

function define(name: string, value: unknown): void {
  Object.defineProperty(process, name, { value, writable: true, configurable: true, enumerable: true });
}

function dropListeners(): void {
  // The first two hear when others go: nothing of the parent's shall run even for that.
  define('emit', () => false);
  drop('newListener');
  drop('removeListener');
  define('emit', emit);
  for (const event of eventNames.call(process)) drop(event);
}

function drop(event: string | symbol): void {
  for (const listener of rawListeners.call(process, event)) {
    if (!NODES_LISTENER.test(sourceOf(listener))) off.call(process, event, listener as () => void);
  }
}
