// An actor as a child process or as a worker thread.
import { isMainThread, parentPort, workerData } from 'node:worker_threads';
import { act } from './acting.mjs';

const messages = isMainThread ? process : parentPort;
const perform = isMainThread
  ? act({ send: (message) => process.send(message), hangUp: () => process.disconnect() })
  : act({ send: (message) => parentPort.postMessage(message), hangUp: () => parentPort.close(), workerData });
messages.on('message', perform);
