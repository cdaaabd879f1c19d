// Whatever a caller gives to what starts, finds and awaits processes: the properties of inputs.mjs that need processes.
import { existsSync } from 'node:fs';
import { kill } from 'node:process';
import fc from 'fast-check';
import * as all from 'forklock';

const forklock = { ...all };

/** Exported functions that get any arguments here. */
export const FUNCTIONS = [
  '_exit',
  'activeChildren',
  'cpuCount',
  'currentProcess',
  'fork',
  'getAllStartMethods',
  'getContext',
  'getStartMethod',
  'getpid',
  'getppid',
  'parentProcess',
  'registerAtFork',
  'setForkserverPreload',
  'setStartMethod',
  'waitpid',
  'waitpidAsync',
];

/** Those that have a property of their own. */
const OWN = new Set(['_exit', 'fork', 'registerAtFork', 'waitpid', 'waitpidAsync']);

/** Exports that get none, and why. Errors are not among them: their constructors are JavaScript's. */
export const NOT_CALLED = {
  Hold: 'its constructor is internal, and its methods take nothing',
};

const child = new URL('./targets.mjs', import.meta.url);

/** Has as many runs as others, divided by this. */
const slower = (times, property) => Object.assign(property, { slower: times });

/** Ends what fork() made: this one goes on as before. */
function forked(options) {
  const pid = forklock.fork(...options);
  if (pid === 0) kill(process.pid, 'SIGKILL');
  const status = forklock.waitpid(pid, { timeout: 10_000 });
  if (status?.signal !== 'SIGKILL') throw new Error(`its end was ${JSON.stringify(status)}`);
}

export function processProperties({ attempt, anything, anyText, anyArgument, brief, options2 }) {
  /** None that another program would be started for, which would complain. */
  const noModule = fc.oneof(
    anyText.filter((text) => !/^(?!file:)[a-z][a-z0-9+.-]*:/i.test(text) && !existsSync(text)),
    anything.filter((value) => typeof value !== 'string'),
    fc.constantFrom(
      'file:',
      'file://',
      'file://elsewhere/x.mjs',
      'file:///a%2Fb.mjs',
      'file:///%',
      'file://[',
      '/nowhere/x.mjs',
      '/\0',
      './x.mjs',
      '..',
      '',
    ),
    fc.constantFrom('file:///nowhere', 'file:///%00', 'file://elsewhere/x').map((url) => new URL(url)),
  );
  const target = fc.oneof(
    fc.tuple(noModule, fc.oneof(anyText, anything)),
    fc.array(anything, { maxLength: 3 }).filter((parts) => typeof parts[0] !== 'string'),
    anything,
    fc.constantFrom(() => {}, Math.max, class {}, Array.prototype.map, new Proxy(() => {}, {})),
  );
  const keep = fc.oneof(
    fc.array(fc.oneof(fc.integer(), fc.nat(60), anything), { maxLength: 4 }),
    fc.array(fc.constantFrom(0, 1, 2, 3, 2 ** 31, 2 ** 31 - 1, 2 ** 53, 1e308, -1, -0, 0.5), { maxLength: 100 }),
    anything,
  );
  /** An integer of 32 bits, or the default: with one of these this program would be over. */
  const isExitCode = (value) =>
    value === undefined || (Number.isInteger(value) && value >= -(2 ** 31) && value < 2 ** 31);
  /** In a fork none of these may run: all of them were refused, or taken back. */
  const hook = fc.oneof(
    anything,
    fc.constantFrom(undefined, () => {
      throw new Error('a hook that is not registered');
    }),
  );
  const simple = FUNCTIONS.filter((name) => !OWN.has(name));

  return {
    functions: fc.property(fc.constantFrom(...simple), fc.array(anyArgument, { maxLength: 2 }), (name, args) => {
      attempt(() => void forklock[name](...args));
    }),

    'start methods': fc.property(
      fc.constantFrom('spawn', 'forkserver', 'fork'),
      fc.oneof(anything, fc.record({ force: fc.oneof(anything, fc.boolean()) })),
      (method, options) => {
        attempt(() => forklock.setStartMethod(method, options));
        if (!forklock.getAllStartMethods().includes(forklock.getStartMethod())) throw new Error('it cannot work');
      },
    ),

    preload: fc.property(fc.oneof(fc.array(noModule, { maxLength: 3 }), anything), (modules) => {
      attempt(() => forklock.setForkserverPreload(modules));
    }),

    'waits for pids': fc.asyncProperty(
      fc.oneof(anyArgument, fc.nat(2 ** 22), fc.constant(process.pid)),
      fc.oneof(options2, anything),
      async (pid, options) => {
        attempt(() => forklock.waitpid(pid, options));
        await attempt(() => forklock.waitpidAsync(pid, options));
      },
    ),

    'ends with what is no exit code': fc.property(
      fc
        .oneof(
          anyArgument,
          fc.double(),
          fc.maxSafeInteger(),
          fc.constantFrom('1', '', 1n, null, true, [1], new Date(1), Symbol('x'), Object(1), -(2 ** 31) - 1, 2 ** 31),
        )
        .filter((value) => !isExitCode(value)),
      fc.array(anything, { maxLength: 2 }),
      (code, more) => {
        attempt(() => {
          forklock._exit(code, ...more);
          throw new Error('it was no error');
        });
      },
    ),

    // Before `forks`, where hooks would run that are left.
    'hooks of forks': fc.property(
      fc.oneof(anyArgument, fc.record({ before: hook, afterInParent: hook, afterInChild: hook }, { requiredKeys: [] })),
      fc.array(anything, { maxLength: 2 }),
      (hooks, more) => {
        attempt(() => {
          const takeBack = forklock.registerAtFork(hooks, ...more);
          takeBack();
          if (takeBack() !== undefined) throw new Error('what takes it back returns something');
        });
      },
    ),

    forks: slower(
      10,
      fc.property(fc.oneof(anything, fc.record({ keep }, { requiredKeys: [] })), (options) => {
        attempt(() => forked([options]));
      }),
    ),

    targets: fc.property(
      fc.constantFrom('spawn', 'forkserver', 'fork'),
      target.filter((value) => value !== undefined),
      fc.array(anything, { maxLength: 2 }),
      (method, target, args) => {
        attempt(() => {
          const { Process } = forklock.getContext(method);
          const process = new Process({ target, args });
          // By 'fork' nothing has to be found, and the child would say what its target is.
          if (method === 'fork') return process;
          process.start();
          process.join();
          throw new Error(`it was started, and ended with ${process.exitCode}`);
        });
      },
    ),

    'methods of processes that are not started': fc.asyncProperty(
      fc.constantFrom('join', 'joinAsync', 'terminate', 'kill', 'isAlive', 'close', 'toString'),
      fc.array(anyArgument, { maxLength: 2 }),
      async (method, args) => {
        await attempt(() => new forklock.Process()[method](...args));
      },
    ),

    'arguments and waits of processes': slower(
      20,
      fc.asyncProperty(
        fc.constantFrom('forkserver', 'spawn'),
        fc.array(anything, { maxLength: 3 }),
        fc.oneof(fc.constant(undefined), fc.dictionary(fc.string(), anything, { maxKeys: 3 })),
        brief,
        options2,
        async (method, args, kwargs, time, wait) => {
          await attempt(async () => {
            const { Process } = forklock.getContext(method);
            const process = new Process({ target: [child, 'refuse'], args, kwargs });
            process.start();
            try {
              attempt(() => process.join(time));
              await attempt(
                () => process.joinAsync(wait),
                (error) => error?.name === 'AbortError',
              );
            } finally {
              process.join();
            }
            if (process.exitCode !== 0) throw new Error(`it ended with ${process.exitCode}`);
            return process;
          });
        },
      ),
    ),
  };
}
