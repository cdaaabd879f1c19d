// A participant that a test scripts: as a child process or as a worker thread, with the same commands. See
// test/support/actor.ts. Commands run side by side, so an async wait does not keep the next command from being
// answered; a sync wait does, until it ends.
import fs from 'node:fs';
import { createRequire } from 'node:module';
import { inspect } from 'node:util';
import { isMainThread, parentPort, workerData } from 'node:worker_threads';
import * as forklock from 'forklock';

const objects = new Map();
const warnings = [];
const state = {};

process.on('warning', (warning) => warnings.push({ code: warning.code, message: warning.message }));

const post = isMainThread ? (message) => process.send(message) : (message) => parentPort.postMessage(message);

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
  /** Lets the event loop run out of work: the actor ends by itself. */
  detach: () => (isMainThread ? process.disconnect() : parentPort.close()),
};

const classes = { ...forklock };

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

function execute({ id, op, ...command }) {
  const done = (value) => post({ id, ok: true, value: sendable(value) });
  const failed = (error) => post({ id, ok: false, ...failure(error) });
  try {
    const value = operations[op](command);
    if (typeof value?.then === 'function') value.then(done, failed);
    else done(value);
  } catch (error) {
    failed(error);
  }
}

if (isMainThread) process.on('message', execute);
else parentPort.on('message', execute);
post({ event: 'ready', value: { pid: process.pid } });
