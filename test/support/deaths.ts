import type { Actor, Exit, Mode } from './actor.js';

/** A way for a participant to end. `die` resolves when it has ended. */
export interface Death {
  title: string;
  mode: Mode;
  die(victim: Actor): Promise<Exit>;
}

export const deaths: Death[] = [
  {
    title: 'a process killed by SIGKILL',
    mode: 'process',
    async die(victim) {
      await victim.kill();
      return victim.exited;
    },
  },
  {
    title: 'a process that is stopped and then killed',
    mode: 'process',
    async die(victim) {
      victim.signal('SIGSTOP');
      await victim.kill();
      return victim.exited;
    },
  },
  {
    title: 'a process that calls process.exit()',
    mode: 'process',
    die(victim) {
      victim.post(() => process.exit(3));
      return victim.exited;
    },
  },
  {
    title: 'a process that calls process.abort()',
    mode: 'process',
    die(victim) {
      victim.post(() => process.abort());
      return victim.exited;
    },
  },
  {
    title: 'a process with an uncaught exception',
    mode: 'process',
    die(victim) {
      victim.post(() =>
        setImmediate(() => {
          throw new Error('on purpose');
        }),
      );
      return victim.exited;
    },
  },
  {
    title: 'a process that ends by itself',
    mode: 'process',
    die(victim) {
      victim.post(({ detach }) => detach());
      return victim.exited;
    },
  },
  {
    title: 'a worker that is terminated',
    mode: 'thread',
    async die(victim) {
      await victim.terminate();
      return victim.exited;
    },
  },
  {
    title: 'a worker that calls process.exit()',
    mode: 'thread',
    die(victim) {
      victim.post(() => process.exit(3));
      return victim.exited;
    },
  },
  {
    title: 'a worker with an uncaught exception',
    mode: 'thread',
    die(victim) {
      victim.post(() =>
        setImmediate(() => {
          throw new Error('on purpose');
        }),
      );
      return victim.exited;
    },
  },
  {
    title: 'a worker that ends by itself',
    mode: 'thread',
    die(victim) {
      victim.post(({ detach }) => detach());
      return victim.exited;
    },
  },
];
