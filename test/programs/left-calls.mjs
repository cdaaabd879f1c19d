// Starts a process by the start method 'fork' in each kind of call, callback and continuation that JavaScript has. Nothing of
// what stands behind start() may run in the child: `gone` says so if it does, in a line that begins with "in the child".
import { AsyncLocalStorage, AsyncResource } from 'node:async_hooks';
import domain from 'node:domain';
import { EventEmitter } from 'node:events';
import fs from 'node:fs';
import Module from 'node:module';
import { setTimeout as sleep } from 'node:timers/promises';
import vm from 'node:vm';
import { MessageChannel } from 'node:worker_threads';
import { getContext, getpid } from 'forklock';

const { Process } = getContext('fork');
const main = getpid();
const say = (...words) => fs.writeSync(1, `${words.join(' ')}\n`);
const gone = () => {
  if (getpid() !== main) say('in the child: its parent goes on');
};

/** Starts one, and waits for its end. */
function go(name) {
  const child = new Process({ target: () => say('target', name) });
  try {
    child.start();
    gone();
    if (!child.join(10_000)) {
      child.kill();
      child.join();
    }
    if (child.exitCode !== 0) say(name, 'ended with', child.exitCode);
  } catch (error) {
    gone();
    say(name, error.stack);
  } finally {
    gone();
  }
}

function* items() {
  try {
    yield 1;
    yield 2;
  } finally {
    gone();
  }
}

async function* later() {
  try {
    yield 1;
  } finally {
    gone();
  }
}

/** What a case waits for is called back there. */
const once = (begin) =>
  new Promise((resolve) => {
    begin((name) => {
      go(name);
      gone();
      resolve();
    });
  });

/** Node ends where nothing keeps its loop alive. */
async function kept(promise) {
  const timer = setTimeout(() => {}, 10_000);
  await promise;
  clearTimeout(timer);
}

const inText = (name) => `try { go(${JSON.stringify(name)}) } finally { gone() }`;
Object.assign(globalThis, { go, gone });

const cases = {
  call: (name) => go(name),
  'deep calls': (name) => {
    const dig = (n) => {
      try {
        if (n === 0) go(name);
        else dig(n - 1);
      } finally {
        gone();
      }
    };
    dig(500);
  },
  catch: (name) => {
    try {
      throw new Error('x');
    } catch {
      go(name);
      gone();
    } finally {
      gone();
    }
  },
  'loop over a generator': (name) => {
    for (const item of items()) {
      if (item === 1) go(name);
      gone();
    }
  },
  'loop over an iterator': (name) => {
    const iterator = {
      next: () => ({ done: false, value: 1 }),
      return: () => {
        gone();
        return {};
      },
    };
    for (const _ of { [Symbol.iterator]: () => iterator }) {
      go(name);
      break;
    }
    gone();
  },
  'loop over an async generator': async (name) => {
    for await (const _ of later()) {
      go(name);
      gone();
    }
  },
  'comparison of a sort': (name) => {
    let first = true;
    [3, 1, 2].sort((a, b) => {
      if (first) go(name);
      first = false;
      gone();
      return a - b;
    });
    gone();
  },
  'trap of a Proxy': (name) => {
    void new Proxy({}, { get: () => go(name) }).x;
    gone();
  },
  getter: (name) => {
    const object = {
      get x() {
        return go(name);
      },
    };
    void object.x;
    gone();
  },
  toJSON: (name) => {
    JSON.stringify({ toJSON: () => go(name) });
    gone();
  },
  replacement: (name) => {
    'a'.replace(/a/, () => go(name));
    gone();
  },
  'static block': (name) => {
    // biome-ignore lint/complexity/noStaticOnlyClass: it is the case
    void class {
      static {
        go(name);
        gone();
      }
    };
    gone();
  },
  'executor of a promise': (name) => once((begin) => begin(name)).then(gone),
  'then callback': (name) =>
    Promise.resolve()
      .then(() => go(name))
      .finally(gone),
  thenable: async (name) => {
    // biome-ignore lint/suspicious/noThenProperty: it is the case
    await { then: (resolve) => resolve(go(name)) };
    gone();
  },
  'continuation of an await': async (name) => {
    await null;
    try {
      go(name);
    } finally {
      gone();
    }
  },
  'continuation of a rejected await': async (name) => {
    try {
      await Promise.reject(new Error('x'));
    } catch {
      go(name);
      gone();
    }
  },
  'turn with a rejection that is handled later in it': (name) => {
    const rejected = Promise.reject(new Error('x'));
    go(name);
    gone();
    rejected.catch(() => {});
  },
  'turn with a timer pending': async (name) => {
    const pending = sleep(2);
    go(name);
    await pending;
    gone();
  },
  tick: (name) =>
    once((begin) => {
      process.nextTick(gone);
      process.nextTick(begin, name);
      process.nextTick(gone);
    }),
  microtask: (name) =>
    once((begin) => {
      queueMicrotask(gone);
      queueMicrotask(() => begin(name));
      queueMicrotask(gone);
    }),
  immediate: (name) =>
    once((begin) => {
      setImmediate(gone);
      setImmediate(begin, name);
      setImmediate(gone);
    }),
  timer: (name) =>
    once((begin) => {
      setTimeout(gone, 1);
      setTimeout(begin, 1, name);
      setTimeout(gone, 1);
      setTimeout(gone, 2);
    }),
  interval: (name) =>
    once((begin) => {
      const interval = setInterval(() => {
        clearInterval(interval);
        begin(name);
      }, 1);
    }),
  'callback of fs': (name) => once((begin) => fs.stat('/', () => begin(name))),
  'promise of fs': async (name) => {
    await fs.promises.stat('/');
    go(name);
    gone();
  },
  stream: (name) =>
    once((begin) => {
      const stream = fs.createReadStream('/proc/self/stat');
      stream
        .on('data', () => begin(name))
        .on('end', gone)
        .on('close', gone);
    }),
  'message of a port': (name) =>
    once((begin) => {
      const { port1, port2 } = new MessageChannel();
      port1.once('message', () => {
        port1.close();
        begin(name);
      });
      port2.postMessage(1);
    }),
  'listener of an EventEmitter': (name) => {
    const emitter = new EventEmitter().on('x', () => go(name)).on('x', gone);
    emitter.emit('x');
    gone();
  },
  'listener of an EventTarget': (name) => {
    const target = new EventTarget();
    target.addEventListener('x', () => go(name));
    target.addEventListener('x', gone);
    target.dispatchEvent(new Event('x'));
    gone();
  },
  'listener of a signal of the system': (name) =>
    kept(
      once((begin) => {
        process.once('SIGUSR2', () => begin(name));
        process.kill(process.pid, 'SIGUSR2');
      }),
    ),
  "handler of 'uncaughtException'": (name) =>
    kept(
      once((begin) => {
        process.once('uncaughtException', () => begin(name));
        setTimeout(() => {
          throw new Error('x');
        });
      }),
    ),
  "handler of 'unhandledRejection'": (name) =>
    kept(
      once((begin) => {
        process.once('unhandledRejection', () => begin(name));
        Promise.reject(new Error('x'));
      }),
    ),
  "handler of 'warning'": (name) =>
    kept(
      once((begin) => {
        process.once('warning', () => begin(name));
        process.emitWarning('a warning of the test');
      }),
    ),
  'scope of an AsyncLocalStorage': (name) => {
    new AsyncLocalStorage().run(1, () => go(name));
    gone();
  },
  'scope of an AsyncResource': (name) => {
    new AsyncResource('X').runInAsyncScope(() => go(name));
    gone();
  },
  'scope of a domain': (name) => {
    domain
      .create()
      .on('error', gone)
      .run(() => go(name));
    gone();
  },
  'script in a context': (name) => {
    vm.runInNewContext(inText(name), { go, gone });
    gone();
  },
  'microtask of a context': (name) => {
    const code = `Promise.resolve().then(() => { ${inText(name)} })`;
    vm.runInNewContext(code, { go, gone }, { microtaskMode: 'afterEvaluate' });
    gone();
  },
  eval: (name) => {
    // biome-ignore lint/security/noGlobalEval: it is the case
    globalThis.eval(inText(name));
    gone();
  },
  'CommonJS module': (name) => {
    new Module('/left.cjs')._compile(inText(name), '/left.cjs');
    gone();
  },
  'ES module': async (name) => {
    await import(`data:text/javascript,${inText(name)}`);
    gone();
  },
  'ES module after a top-level await': async (name) => {
    await import(`data:text/javascript,await null; ${inText(name)}`);
    gone();
  },
  using: (name) => {
    let source = `{ using x = { [Symbol.dispose]: gone }; go(name) }`;
    try {
      new Function(source);
    } catch {
      source = 'go(name)'; // a Node that does not know it
    }
    new Function('go', 'gone', 'name', source)(go, gone, name);
    gone();
  },
  'callback of a FinalizationRegistry': (name) =>
    once((begin) => {
      const interval = setInterval(globalThis.gc, 5);
      globalThis.registry = new FinalizationRegistry(() => {
        clearInterval(interval);
        begin(name);
      });
      (() => globalThis.registry.register({}, 1))();
    }),
};

for (const [name, run] of Object.entries(cases)) {
  say('case', name);
  await run(name);
  gone();
  await sleep(1);
}
say('case', "handler of 'beforeExit'");
process.once('beforeExit', () => {
  go("handler of 'beforeExit'");
  gone();
});
process.on('exit', gone);
