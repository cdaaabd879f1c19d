// Another process, which has objects open until its standard input ends.
import { Lock, RawArray, SharedMemory } from 'forklock';

const name = `limits-peer-${process.pid}`;
const kept = { lock: new Lock(), array: new RawArray('int8', 200_000), memory: new SharedMemory({ size: 200_000 }) };
const named = {
  lock: new Lock({ name }),
  memory: new SharedMemory({ name: `${name}-block`, size: 16_384, create: true }),
};
const handles = Object.fromEntries(Object.entries(kept).map(([key, object]) => [key, object.handle]));
console.log(JSON.stringify({ handles, names: { lock: name, memory: named.memory.name } }));
process.stdin
  .on('data', () => {})
  .on('end', () => {
    Lock.unlink(name);
    named.memory.unlink();
    process.exit();
  });
