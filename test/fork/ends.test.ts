import { describe, expect, test } from 'vitest';
import { ALONE, type Body, inChild, inPlain } from '../support/forked.js';
import type { ScriptResult } from '../support/script.js';

const NEVER_SETTLES = 'with a top-level await that never settles';

/**
 * Each program runs in a process that was not forked and in the child of a fork, and ends in the same way: its exit
 * code or signal, what it printed, and what it, or Node, had to say on stderr.
 */
const programs: Record<string, Record<string, Body>> = {
  'falls off the end': {
    'at once': () => {},
    'having printed': ({ print }) => print('something'),
    'after timers, immediates, ticks and microtasks': async ({ print }) => {
      await new Promise((resolve) => setTimeout(resolve, 5));
      await new Promise((resolve) => setImmediate(resolve));
      process.nextTick(() => queueMicrotask(() => print('all')));
    },
    'after calls in the pool': async ({ fs, print }) => {
      await fs.promises.readFile('/proc/self/stat');
      fs.readFile('/proc/self/stat', () => print('read'));
    },
    'with unreferenced handles': ({ print }) => {
      setTimeout(() => print('never'), 60_000).unref();
      setInterval(() => print('never'), 60_000).unref();
    },
    'after an interval is cleared by its own callback': ({ print }) => {
      let n = 0;
      const interval = setInterval(() => {
        print(n);
        if (++n === 3) clearInterval(interval);
      }, 1);
    },
    'with a promise that never settles': async () => {
      new Promise(() => {}).then(() => {});
    },
    [NEVER_SETTLES]: () => new Promise(() => {}),
  },

  'calls process.exit()': {
    ...Object.fromEntries(
      [0, 1, 7, 127, 128, 255, 256, 300, -1, -256, "'3'", 'undefined', 'null', ''].map((code) => [
        `process.exit(${code})`,
        { toString: () => `() => { process.exit(${code}); }` } as unknown as Body,
      ]),
    ),
    'with what is no exit code': () => process.exit('x'),
    'with a fraction': () => process.exit(1.5),
    'in a timer': () => void setTimeout(() => process.exit(4), 1),
    'in an immediate': () => void setImmediate(() => process.exit(4)),
    'in a tick': () => process.nextTick(() => process.exit(4)),
    'in a microtask': () => queueMicrotask(() => process.exit(4)),
    'in a callback of fs': ({ fs }) => fs.stat('/', () => process.exit(4)),
    'in the middle of a lot': ({ fs, Worker, require }) => {
      setInterval(() => {}, 1);
      for (let i = 0; i < 20; i++) fs.readFile('/proc/self/maps', () => {});
      (require('node:net') as typeof import('node:net')).createServer().listen(0);
      const worker = new Worker('for (;;);', { eval: true });
      worker.on('online', () => process.exit(9));
    },
    'twice, once in a finally': () => {
      try {
        process.exit(3);
      } finally {
        process.exit(4);
      }
    },
  },

  'sets process.exitCode': {
    'and falls off the end': () => {
      process.exitCode = 5;
    },
    'to a string of digits': () => {
      process.exitCode = '6';
    },
    'to 256': () => {
      process.exitCode = 256;
    },
    'to -1': () => {
      process.exitCode = -1;
    },
    'and takes it back': () => {
      process.exitCode = 5;
      process.exitCode = undefined;
    },
    'to what is no exit code': () => {
      process.exitCode = 'x';
    },
    later: () => void setTimeout(() => (process.exitCode = 5), 1),
    'and calls process.exit()': () => {
      process.exitCode = 5;
      process.exit();
    },
    'and calls process.exit(6)': () => {
      process.exitCode = 5;
      process.exit(6);
    },
    'and calls process.exit(0)': () => {
      process.exitCode = 5;
      process.exit(0);
    },
    'and throws': () => {
      process.exitCode = 5;
      setImmediate(() => {
        throw new Error('boom');
      });
    },
  },

  "has 'exit' and 'beforeExit' handlers": {
    'that print': ({ print }) => {
      process.on('beforeExit', (code) => print(['beforeExit', code, process.exitCode ?? null]));
      process.on('exit', (code) => print(['exit', code, process.exitCode ?? null]));
    },
    'that print, with an exit code': ({ print }) => {
      process.exitCode = 3;
      process.on('beforeExit', (code) => print(['beforeExit', code, process.exitCode ?? null]));
      process.on('exit', (code) => print(['exit', code, process.exitCode ?? null]));
    },
    'that print, and calls process.exit()': ({ print }) => {
      process.on('beforeExit', () => print('beforeExit'));
      process.on('exit', (code) => print(['exit', code, process.exitCode ?? null]));
      process.exit(4);
    },
    'several of them, once, first and removed': ({ print }) => {
      const removed = (): void => print('removed');
      process.on('exit', () => print(2));
      process.once('exit', () => print(3));
      process.prependListener('exit', () => print(1));
      process.on('exit', removed);
      process.off('exit', removed);
      process.on('exit', function (this: unknown) {
        print(this === process);
      });
    },
    "that set the code in 'exit'": () => {
      process.on('exit', () => (process.exitCode = 8));
    },
    "that set the code in 'exit', after process.exit(3)": () => {
      process.on('exit', () => (process.exitCode = 8));
      process.exit(3);
    },
    "that set the code to 0 in 'exit', after process.exit(3)": () => {
      process.on('exit', () => (process.exitCode = 0));
      process.exit(3);
    },
    "that set the code to 256 in 'exit'": () => {
      process.on('exit', () => (process.exitCode = 256));
    },
    "that set the code in 'beforeExit'": ({ print }) => {
      process.on('beforeExit', () => (process.exitCode = 8));
      process.on('exit', (code) => print(code));
    },
    "that call process.exit() in 'exit'": ({ print }) => {
      process.on('exit', (code) => {
        print(['first', code]);
        process.exit(6);
      });
      process.on('exit', () => print('second'));
    },
    "that call process.exit() in 'exit', after process.exit(3)": ({ print }) => {
      process.on('exit', (code) => {
        print(['first', code]);
        process.exit(6);
      });
      process.on('exit', () => print('second'));
      process.exit(3);
    },
    "that call process.exit() without a code in 'exit', after process.exit(3)": () => {
      process.on('exit', () => process.exit());
      process.exit(3);
    },
    "that call process.exit() in 'beforeExit'": ({ print }) => {
      process.on('beforeExit', () => process.exit(6));
      process.on('exit', (code) => print(code));
    },
    "that throw in 'exit'": ({ print }) => {
      process.on('exit', () => {
        throw new Error('boom');
      });
      process.on('exit', () => print('second'));
    },
    "that throw in 'exit', after process.exit(3)": ({ print }) => {
      process.on('exit', () => {
        throw new Error('boom');
      });
      process.on('exit', () => print('second'));
      process.exit(3);
    },
    "that throw in 'exit', with exitCode 0": () => {
      process.exitCode = 0;
      process.on('exit', () => {
        throw new Error('boom');
      });
    },
    "that throw in 'beforeExit'": ({ print }) => {
      process.on('beforeExit', () => {
        throw new Error('boom');
      });
      process.on('exit', (code) => print(code));
    },
    "that start something in 'beforeExit', three times": ({ print }) => {
      let n = 0;
      process.on('beforeExit', () => {
        print(n);
        if (n++ < 3) setTimeout(() => print('more'), 1);
      });
      process.on('exit', () => print('exit'));
    },
    "that start an immediate in 'beforeExit', three times": ({ print }) => {
      let n = 0;
      process.on('beforeExit', () => {
        print(n);
        if (n++ < 3) setImmediate(() => {});
      });
    },
    "that start a call in the pool in 'beforeExit'": ({ fs, print }) => {
      process.once('beforeExit', () => fs.stat('/', () => print('stat')));
      process.on('exit', () => print('exit'));
    },
    "that start an immediate in 'beforeExit'": ({ print }) => {
      process.once('beforeExit', () => setImmediate(() => print('immediate')));
      process.on('exit', () => print('exit'));
    },
    "that start a timer in 'exit', which never fires": ({ print }) => {
      process.on('exit', () => {
        setTimeout(() => print('never'));
        setImmediate(() => print('never'));
      });
    },
    "that block in 'exit'": ({ print, require }) => {
      process.on('exit', () => {
        (require('node:child_process') as typeof import('node:child_process')).execFileSync('sleep', ['0.01']);
        print('slept');
      });
    },
  },

  throws: {
    'an error, in a timer': () => {
      setTimeout(() => {
        throw new Error('boom');
      }, 1);
    },
    'an error, in an immediate': () => {
      setImmediate(() => {
        throw new TypeError('boom');
      });
    },
    'an error, in a tick': () => {
      process.nextTick(() => {
        throw new Error('boom');
      });
    },
    'an error, in a microtask': () => {
      queueMicrotask(() => {
        throw new Error('boom');
      });
    },
    'an error, in a callback of fs': ({ fs }) => {
      fs.stat('/', () => {
        throw new Error('boom');
      });
    },
    'an error, in a listener': ({ require }) => {
      const { EventEmitter } = require('node:events') as typeof import('node:events');
      setImmediate(() => new EventEmitter().emit('error', new Error('boom')));
    },
    'an error, at the top': () => {
      throw new Error('boom');
    },
    'an error with a cause and properties': () => {
      setImmediate(() => {
        throw Object.assign(new Error('boom', { cause: new Error('why') }), { code: 'E_BOOM' });
      });
    },
    'a string': () => {
      setImmediate(() => {
        throw 'boom';
      });
    },
    undefined: () => {
      setImmediate(() => {
        throw undefined;
      });
    },
    'out of the stack': () => {
      setImmediate(function deeper(): void {
        deeper();
      });
    },
    "with an 'exit' handler": ({ print }) => {
      process.on('exit', (code) => print([code, process.exitCode ?? null]));
      setImmediate(() => {
        throw new Error('boom');
      });
    },
    "with an 'exit' handler that sets the code": () => {
      process.on('exit', () => (process.exitCode = 9));
      setImmediate(() => {
        throw new Error('boom');
      });
    },
    "with an 'exit' handler that sets the code to 0": () => {
      process.on('exit', () => (process.exitCode = 0));
      setImmediate(() => {
        throw new Error('boom');
      });
    },
    "with an 'exit' handler that calls process.exit()": ({ print }) => {
      process.on('exit', () => process.exit(9));
      process.on('exit', () => print('second'));
      setImmediate(() => {
        throw new Error('boom');
      });
    },
    "with an 'exit' handler that throws": () => {
      process.on('exit', () => {
        throw new Error('bang');
      });
      setImmediate(() => {
        throw new Error('boom');
      });
    },
    'while much is going on': ({ fs, Worker }) => {
      for (let i = 0; i < 20; i++) fs.readFile('/proc/self/maps', () => {});
      setInterval(() => {}, 1);
      new Worker('for (;;);', { eval: true }).on('online', () => {
        throw new Error('boom');
      });
    },
    'and catches it': ({ print }) => {
      process.on('uncaughtException', (error, origin) => print([error.message, origin]));
      process.on('exit', (code) => print(code));
      setTimeout(() => print('goes on'), 5);
      setImmediate(() => {
        throw new Error('boom');
      });
    },
    'and catches it, twice, and then no more': ({ print }) => {
      process.once('uncaughtException', () => print('first'));
      setImmediate(() => {
        throw new Error('boom');
      });
      setTimeout(() => {
        throw new Error('bang');
      }, 5);
    },
    'and catches it, and exits': ({ print }) => {
      process.on('uncaughtException', () => process.exit(6));
      process.on('exit', (code) => print(code));
      setImmediate(() => {
        throw new Error('boom');
      });
    },
    'and catches it, and sets the code': () => {
      process.on('uncaughtException', () => (process.exitCode = 6));
      setImmediate(() => {
        throw new Error('boom');
      });
    },
    'and throws while catching it': ({ print }) => {
      process.on('uncaughtException', () => {
        throw new Error('bang');
      });
      process.on('exit', (code) => print(code));
      setImmediate(() => {
        throw new Error('boom');
      });
    },
    'and monitors it': ({ print }) => {
      process.on('uncaughtExceptionMonitor', (error, origin) => print([error.message, origin]));
      setImmediate(() => {
        throw new Error('boom');
      });
    },
    'and captures it': ({ print }) => {
      process.setUncaughtExceptionCaptureCallback((error) => print(error.message));
      setImmediate(() => {
        throw new Error('boom');
      });
    },
    'in a worker, unnoticed': ({ Worker }) => {
      new Worker('throw new Error("boom")', { eval: true });
    },
    'in a worker, noticed': ({ Worker, print }) => {
      new Worker('throw new Error("boom")', { eval: true }).on('error', (error) => print((error as Error).message));
    },
  },

  rejects: {
    'with an error': () => void Promise.reject(new Error('boom')),
    'with no error': () => void Promise.reject(3),
    late: () => void setTimeout(() => Promise.reject(new Error('boom')), 1),
    'at the top': async () => {
      await null;
      throw new Error('boom');
    },
    "with an 'exit' handler": ({ print }) => {
      process.on('exit', (code) => print([code, process.exitCode ?? null]));
      Promise.reject(new Error('boom'));
    },
    "with an 'exit' handler that sets the code": () => {
      process.on('exit', () => (process.exitCode = 9));
      Promise.reject(new Error('boom'));
    },
    'and handles it': ({ print }) => {
      process.on('unhandledRejection', (reason) => print((reason as Error).message));
      Promise.reject(new Error('boom'));
      setTimeout(() => print('goes on'), 5);
    },
    'and handles it as an exception': ({ print }) => {
      process.on('uncaughtException', (error, origin) => print([error.message, origin]));
      Promise.reject(new Error('boom'));
      setTimeout(() => print('goes on'), 5);
    },
    'and throws while handling it': () => {
      process.on('unhandledRejection', () => {
        throw new Error('bang');
      });
      Promise.reject(new Error('boom'));
    },
    'and handles it in time': ({ print }) => {
      const rejected = Promise.reject(new Error('boom'));
      process.nextTick(() => rejected.catch((error) => print(error.message)));
    },
  },

  'gets a signal': {
    ...Object.fromEntries(
      ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGQUIT', 'SIGUSR2', 'SIGALRM', 'SIGKILL', 'SIGSEGV', 'SIGABRT', 'SIGBUS'].map(
        (signal) => [
          `${signal}, without a handler`,
          {
            toString: () =>
              `({ print }) => { process.on('exit', () => print('exit')); setInterval(() => {}, 1000); process.kill(process.pid, '${signal}'); }`,
          } as unknown as Body,
        ],
      ),
    ),
    ...Object.fromEntries(
      ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGUSR2', 'SIGSEGV', 'SIGWINCH', 'SIGCHLD'].map((signal) => [
        `${signal}, and its handler exits`,
        {
          toString: () =>
            `({ print }) => { process.on('exit', (code) => print(code)); process.on('${signal}', (...args) => { print(args); process.exit(4); }); setInterval(() => {}, 1000); process.kill(process.pid, '${signal}'); }`,
        } as unknown as Body,
      ]),
    ),
    'and its handler goes on': ({ print }) => {
      process.exitCode = 2;
      process.once('SIGTERM', () => {
        print('handled');
        clearInterval(interval);
      });
      const interval = setInterval(() => {}, 1000);
      process.kill(process.pid, 'SIGTERM');
    },
    'a second time, when the handler is gone': ({ print }) => {
      process.once('SIGTERM', () => {
        print('handled');
        process.kill(process.pid, 'SIGTERM');
      });
      setInterval(() => {}, 1000);
      process.kill(process.pid, 'SIGTERM');
    },
    'and its handler throws': () => {
      process.on('SIGTERM', () => {
        throw new Error('boom');
      });
      setInterval(() => {}, 1000);
      process.kill(process.pid, 'SIGTERM');
    },
    'from its own process.abort()': ({ print }) => {
      process.on('exit', () => print('exit'));
      process.abort();
    },
    'of its own while it is busy': () => {
      setImmediate(() => {
        process.kill(process.pid, 'SIGTERM');
        for (;;);
      });
    },
  },

  writes: {
    'with callbacks and in the end': () => {
      process.stdout.write('"one"\n', () => process.stdout.write('"two"\n', () => process.exit(3)));
    },
    'to stderr': ({ print }) => {
      console.error('some lines\n'.repeat(1000));
      print('out');
    },
    'without an end of line': () => {
      process.stdout.write('"no newline"');
    },
    warnings: () => process.emitWarning('careful', 'TestWarning', 'T01'),
  },
};

/** What says the same in each process: not ids of processes, nor the addresses of code. */
function withoutIds(stderr: string): string {
  return stderr
    .replace(/^ {4}at .*\n/gm, '')
    .replace(/\(eval at .*$/gm, '(eval)')
    .replace(/^\s*\^+$/gm, '^')
    .replace(/\(node:\d+\)/g, '(node)')
    .replace(/^(?:file:.*|node:.*|.*\.js|evalmachine.*|\[worker eval\].*):\d+$/gm, '(place)')
    .replace(/^[\s\S]*-----\n[\s\S]*$/, '(native stack)\n');
}

function ending({ printed, stderr, code, signal }: ScriptResult): object {
  return { printed, stderr: withoutIds(stderr), code, signal };
}

/** From Node 22 on no JavaScript can see that the main module is not done (docs/processes.md). */
const isNotSeen = (mode: string, title: string): boolean =>
  mode === 'alone' && title === NEVER_SETTLES && Number(process.versions.node.split('.')[0]) >= 22;
const UNSEEN = { printed: [], stderr: '', code: 0, signal: null };

const modes: [string, string[]][] = [
  ['carried', []],
  ['alone', ALONE],
];

/** They end alike with all options. */
const plains: Record<string, Promise<ScriptResult>> = {};

describe.each(modes)('%s:', (mode, execArgv) => {
  for (const [kind, bodies] of Object.entries(programs)) {
    describe(`a child that ${kind} ends as a process that was not forked`, () => {
      test.for(Object.entries(bodies))('%s', async ([title, body], { skip }) => {
        // Node takes its platform down before anybody can leave, and without helper threads waits for them for ever.
        if (mode === 'alone' && title === 'and throws while catching it') skip();
        plains[`${kind} ${title}`] ??= inPlain(body);
        const plain = await plains[`${kind} ${title}`]!;
        const { status, ...forked } = await inChild(body, { execArgv });
        expect(plain.ms, 'it is no test of an end if the plain process has none').toBeLessThan(45_000);
        expect([forked.code, forked.signal, status?.pid]).toEqual([0, null, expect.any(Number)]);
        const child = { ...forked, code: status?.exitCode ?? null, signal: status?.signal ?? null };
        expect(ending(child)).toEqual(isNotSeen(mode, title) ? UNSEEN : ending(plain));
      });
    });
  }
});
