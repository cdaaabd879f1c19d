// A subclass of Process: `run` is what the new process does.
//
// The constructor runs in the parent only. The properties of the instance go to the child, forklock's objects among
// them; what the child changes in them stays in the child, and results come back through shared memory.
//
//   node examples/subclass.mjs
import { Process, parentProcess, RawValue } from 'forklock';

export class PrimeCounter extends Process {
  constructor(from, to) {
    super({ name: `primes from ${from} to ${to}` });
    this.from = from;
    this.to = to;
    this.found = new RawValue('int32');
  }

  run() {
    let found = 0;
    for (let n = this.from; n < this.to; n++) if (isPrime(n)) found++;
    this.found.value = found;
  }
}

function isPrime(n) {
  for (let i = 2; i * i <= n; i++) if (n % i === 0) return false;
  return n > 1;
}

if (parentProcess() === null) {
  const counters = [0, 25_000, 50_000, 75_000].map((from) => new PrimeCounter(from, from + 25_000));
  for (const counter of counters) counter.start();
  let sum = 0;
  for (const counter of counters) {
    await counter.joinAsync();
    console.log(`${counter.name}: ${counter.found.value} found by process ${counter.pid}`);
    sum += counter.found.value;
  }
  console.log(`${sum} primes below 100000`);
}
