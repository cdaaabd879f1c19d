import { EventEmitter } from 'node:events';
import { process } from '../../thread.js';

const emitter = EventEmitter.prototype;
const METHODS = Object.getOwnPropertyNames(emitter).filter(
  (name) => name !== 'constructor' && typeof emitter[name as keyof typeof emitter] === 'function',
);

/** As they were when this package was loaded. */
const { emit, eventNames, off, rawListeners } = emitter;
const exiting = Object.getOwnPropertyDescriptor(process, '_exiting');

/** What the types of Node do not have. */
export type Hooked = typeof process & {
  _exiting: boolean;
  reallyExit(code: unknown): never;
  /** Of node:domain, once somebody has loaded it. */
  domain?: { exit(): void } | null;
  finalization?: unknown;
};

const node = process as Hooked;

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
export function dropHooks(of = node): void {
  putMethodsBack(of);
  dropListeners(of);
  while (of.domain) of.domain.exit();
  if (of.hasUncaughtExceptionCaptureCallback()) of.setUncaughtExceptionCaptureCallback(null);
  of.exitCode = undefined;
  if ('finalization' in of) of.finalization = undefined; // Node makes another one when it is asked for it
}

/** For a dry run: an object with what `process` has of Node. */
export function standIn(): Hooked {
  class Stand extends EventEmitter {
    hasUncaughtExceptionCaptureCallback = (): boolean => false;
  }
  const stand = new Stand();
  const hearing = ['removeListener', 'newListener']; // last: nobody hears of those before
  const events = eventNames.call(process).filter((event) => !hearing.includes(String(event)));
  for (const event of [...events, ...hearing]) {
    for (const listener of rawListeners.call(process, event)) {
      if (isNodes(listener)) stand.on(event, listener as () => void);
    }
  }
  stand.on('exit', standIn);
  Reflect.set(stand, 'domain', null); // whoever makes an emitter within a domain gets it for that
  return stand as unknown as Hooked;
}

function putMethodsBack(of: Hooked): void {
  for (const name of METHODS) {
    for (const object of [of, Object.getPrototypeOf(of)]) {
      if (Object.hasOwn(object, name)) delete object[name];
    }
  }
  if (of.emit !== emit) define(of, 'emit', emit);
  if (of.exit !== nodesExit) define(of, 'exit', nodesExit);
  if (exiting) Object.defineProperty(of, '_exiting', exiting);
}

function define(of: Hooked, name: string, value: unknown): void {
  Object.defineProperty(of, name, { value, writable: true, configurable: true, enumerable: true });
}

function dropListeners(of: Hooked): void {
  // The first two hear when others go: nothing of the parent's shall run even for that.
  define(of, 'emit', () => false);
  drop(of, 'newListener');
  drop(of, 'removeListener');
  define(of, 'emit', emit);
  for (const event of eventNames.call(of)) drop(of, event);
}

const isNodes = (listener: unknown): boolean => NODES_LISTENER.test(sourceOf(listener));

function drop(of: Hooked, event: string | symbol): void {
  for (const listener of rawListeners.call(of, event)) {
    if (!isNodes(listener)) off.call(of, event, listener as () => void);
  }
}
