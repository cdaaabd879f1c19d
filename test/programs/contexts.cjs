// Evaluates the package (a bundle of it, argv[2]) in vm contexts that are dropped, as a test runner does, over one addon.
// Needs --expose-gc.
const fs = require('node:fs');
const vm = require('node:vm');

const [, , file, mode, name] = process.argv;
const source = fs.readFileSync(file, 'utf8');
let collected = 0;
const registry = new FinalizationRegistry(() => collected++);
const { AbortSignal, Buffer, clearTimeout, performance, setImmediate, setTimeout, URL } = globalThis;

function evaluate() {
  const globals = { AbortSignal, Buffer, clearTimeout, performance, process, setImmediate, setTimeout, URL };
  const context = vm.createContext(globals);
  registry.register(context);
  const module = { exports: {} };
  vm.runInContext(`(function (require, module, exports) {${source}\n})`, context)(require, module, module.exports);
  return module.exports;
}

const uses = {
  async waits({ Semaphore }) {
    const semaphore = new Semaphore(0);
    setTimeout(() => semaphore.release(), 1);
    await semaphore.acquireAsync();
  },
  async forks({ fork, waitpidAsync }) {
    const pid = fork();
    if (pid === 0) process.exit(3);
    await waitpidAsync(pid);
  },
  async starts({ Process }) {
    const child = new Process({ target: ['node:fs', 'existsSync'], args: ['/'] });
    child.start();
    await child.joinAsync();
  },
  async holds({ Lock }) {
    new Lock({ name }).acquire(0);
  },
  async 'is waiting'({ Semaphore }) {
    void new Semaphore(0).acquireAsync({ timeout: 300 });
  },
};

const descriptors = () => fs.readdirSync('/proc/self/fd').length;
const children = () => fs.readFileSync(`/proc/self/task/${process.pid}/children`, 'utf8').split(' ').length - 1;

async function main() {
  await uses[mode](evaluate()); // the first one has made what all have in common
  const before = descriptors();
  for (let i = 0; i < 4; i++) await uses[mode](evaluate());
  const reaper = mode === 'starts' ? 1 : 0; // what reaps the fork servers, for all of them
  const left = () => [4 - collected, descriptors() - before - reaper, children() - 1];
  const deadline = performance.now() + 15_000;
  while (left().some((n) => n > 0) && performance.now() < deadline) {
    globalThis.gc();
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  console.log(JSON.stringify(left().map((n) => n <= 0)));
  if (mode !== 'holds') return;
  const { Lock } = evaluate();
  const lock = new Lock({ name });
  console.log(JSON.stringify([lock.locked, lock.ownerDied, lock.acquire(1)]));
}

main();
