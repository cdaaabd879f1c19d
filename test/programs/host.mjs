// Starts actors that are a Process, because a test itself runs where it may not fork: among worker threads of vitest.
import * as forklock from 'forklock';
import { main } from './actor-process.mjs';

const classes = { ...forklock };
const { getContext, setForkserverPreload } = classes;
const processes = new Map();

setForkserverPreload([new URL('./actor-process.mjs', import.meta.url)]);

process.on('warning', (warning) => {
  if (warning.code === 'FORKLOCK_FORKSERVER_FALLBACK') throw warning; // the actors would not be what the test asked for
});

async function start({ id, method, path, given }) {
  const objects = Object.entries(given).map(([key, { cls, handle }]) => [key, classes[cls].from(handle)]);
  const { Process } = getContext(method);
  const actor = new Process({ target: main, args: [path, id, Object.fromEntries(objects)], daemon: true });
  try {
    actor.start();
  } finally {
    for (const [, object] of objects) object.close();
  }
  processes.set(id, actor);
  process.send({ id, pid: actor.pid });
  await actor.joinAsync();
  const { exitCode } = actor;
  processes.delete(id);
  actor.close();
  process.send({ id, exitCode });
}

process.on('message', ({ op, id, ...order }) => {
  if (op === 'terminate') processes.get(id)?.terminate();
  else start({ id, ...order }).catch(({ stack }) => process.send({ id, error: stack }));
});
process.on('disconnect', () => process.exit());
