// Traffic lights and cars: an Event is green (set) or red (clear), and every car is a process.
//
// There are two lights on a round course. The cars stop at the first one until it is green, cross, drive to the
// second one, and so on. `set()` lets all of them go at once; `clear()` stops whoever comes later.
//
//   node examples/traffic-light.mjs
import { fork } from 'node:child_process';
import { Event, Semaphore } from 'forklock';

const CARS = 4;
const CROSSINGS = 6;

/** Who has not ended: if this program fails, nobody is left behind. */
const running = new Set();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

const [role, ...args] = process.argv.slice(2);
if (role === 'car') car(...args);
else await main();

function car(number, arrivedHandle, crossedHandle, ...lightHandles) {
  const arrived = Semaphore.from(arrivedHandle);
  const crossed = Semaphore.from(crossedHandle);
  const lights = lightHandles.map((handle) => Event.from(handle));
  for (let i = 0; i < CROSSINGS; i++) {
    const green = lights[i % lights.length];
    arrived.release();
    green.wait(); // blocks this process, and only this one
    console.log(`car ${number} crosses light ${i % lights.length}, which is ${green.isSet ? 'green' : 'RED'}`);
    crossed.release();
  }
}

async function main() {
  const lights = [new Event(), new Event()]; // an Event begins clear: red
  const arrived = new Semaphore(0);
  const crossed = new Semaphore(0);

  const handles = [arrived, crossed, ...lights].map((object) => object.handle);
  for (let number = 1; number <= CARS; number++) {
    const child = fork(new URL(import.meta.url), ['car', String(number), ...handles]);
    running.add(child);
    child.once('exit', () => running.delete(child));
    child.once('exit', (code) => {
      if (code !== 0) throw new Error(`car ${number} broke down`);
    });
  }

  // The main program waits without blocking its event loop, and gives up after a while.
  const signal = AbortSignal.timeout(15_000);
  const everyCar = async (semaphore) => {
    for (let i = 0; i < CARS; i++) await semaphore.acquireAsync({ signal });
  };
  for (let i = 0; i < CROSSINGS; i++) {
    const light = i % lights.length;
    await everyCar(arrived);
    console.log(`${CARS} cars stand at light ${light}: it turns green`);
    lights[light].set();
    await everyCar(crossed);
    lights[light].clear();
  }
  console.log(`${CARS} cars crossed ${CROSSINGS} times`);
}
