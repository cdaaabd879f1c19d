// What an actor does, whatever it is: a child process, a worker thread or a Process. See test/support/actor.ts. Commands
// run side by side, so an async wait does not keep the next command from being answered; a sync wait does, until it ends.
import fs from 'node:fs';
import { createRequire } from 'node:module';
import { inspect } from 'node:util';
import * as forklock from 'forklock';

const classes = { ...forklock };

/** What a reply may carry: forklock's objects stay here. */
const sendable = (value) =>
  (typeof value === 'object' && value !== null && typeof value.close === 'function') ||
  value instanceof forklock.Hold ||
  typeof value === 'function'
    ? undefined
    : value;

function failure(error) {
  if (!(error instanceof Error)) return { thrown: error };
  const { name, code, message, stack, pid } = error;
  return { error: { name, code, message, stack, pid } };
}

/**
 * Makes this thread an actor that speaks by `send`, until `hangUp` lets the event loop run out of work; returns the
 * function that takes its commands. It has `given` from the start.
 */
export function act({ send, hangUp, given = {}, workerData }) {
  const objects = new Map(Object.entries(given));
  const warnings = [];
  const state = {};
  let listening = true;
  const post = (message) => listening && send(message);

  process.on('warning', (warning) => warnings.push({ code: warning.code, message: warning.message }));

  function find(path) {
    const [key, ...rest] = path.split('.');
    if (!objects.has(key)) throw new Error(`the actor has no object '${key}'`);
    return rest.reduce((object, part) => object[part], objects.get(key));
  }

  const scope = {
    forklock,
    fs,
    inspect,
    state,
    warnings,
    workerData,
    require: createRequire(import.meta.url),
    get: find,
    put: (key, object) => {
      objects.set(key, object);
      return object;
    },
    emit: (event, value) => post({ event, value }),
    /** The actor ends by itself. */
    detach: () => {
      listening = false;
      hangUp();
    },
  };

  const operations = {
    make: ({ cls, key, args }) => void objects.set(key, new classes[cls](...args)),
    open: ({ cls, key, handle, options }) => void objects.set(key, classes[cls].from(handle, options)),
    call: ({ path, method, args }) => find(path)[method](...args),
    read: ({ path, property }) => find(path)[property],
    // biome-ignore lint/security/noGlobalEval: the source is a function of the test
    run: ({ source, args }) => globalThis.eval(`(${source})`)(scope, ...args),
    clear: () => {
      for (const object of objects.values()) object.close?.();
      objects.clear();
      warnings.length = 0;
      for (const key of Object.keys(state)) delete state[key];
    },
  };

  post({ event: 'ready', value: { pid: process.pid } });

  return ({ id, op, ...command }) => {
    const done = (value) => post({ id, ok: true, value: sendable(value) });
    const failed = (error) => post({ id, ok: false, ...failure(error) });
    try {
      const value = operations[op](command);
      if (typeof value?.then === 'function') value.then(done, failed);
      else done(value);
    } catch (error) {
      failed(error);
    }
  };
}
