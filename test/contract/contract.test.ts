import { execFileSync } from 'node:child_process';
import { describe, expect, test } from 'vitest';
import { compile } from '../programs/compile.mjs';
import { startGroup } from '../support/group.js';
import { script } from '../support/script.js';

/** What the design takes from the kernel and libc. Each fact is checked by a process of its own: see contract/. */
const sources = [
  'main',
  'futex',
  'robust',
  'deaths',
  'entries',
  'gone',
  'futexes',
  'processes',
  'messages',
  'memory',
  'carried',
];
const program = compile(
  'contract',
  'test/contract',
  sources.map((source) => `${source}.cc`),
);
const facts = execFileSync(program, ['list'], { encoding: 'utf8' }).trim().split('\n');
const SKIPPED = 77;

describe('the kernel and libc', () => {
  for (const fact of facts) {
    test(fact, async ({ skip }) => {
      const { code, signal, stdout, stderr } = await startGroup([program, fact]).ended;
      if (code === SKIPPED) {
        console.log(`Not checked here: ${fact}: ${stdout.trim()}`);
        skip(stdout.trim());
      }
      expect({ code, signal, stderr }).toEqual({ code: 0, signal: null, stderr: '' });
    });
  }
});

describe('a worker thread is a kernel thread: what it holds is marked before its exit event, when it', () => {
  const addon = compile('hold.node', 'test/contract', ['hold.cc'], ['-shared', '-fPIC']);
  const OWNER_DIED = 0x40000000;
  const endings: [title: string, code: string][] = [
    ['returns', ''],
    ['calls process.exit()', 'process.exit(3)'],
    ['throws', 'throw new Error("on purpose")'],
    ['is terminated while idle', 'setInterval(() => {}, 1000); parentPort.postMessage("here")'],
    ['is terminated in a busy loop', 'parentPort.postMessage("here"); for (;;) {}'],
  ];

  test.each(endings)('%s', async (_, code) => {
    const { printed, stderr } = await script(
      async ({ Worker, require, print }, addon, code) => {
        const { word } = require(addon);
        const worker = new Worker(
          `const { parentPort } = require('node:worker_threads');
          const held = require(${JSON.stringify(addon)}).hold(0);
          if (held === 0) process.exit(9);
          ${code}`,
          { eval: true },
        );
        worker.on('message', () => {
          print(word(0));
          void worker.terminate();
        });
        worker.on('error', () => {});
        await new Promise((resolve) => worker.on('exit', resolve));
        print(word(0));
      },
      [addon, code],
    );
    expect(printed.at(-1), stderr).toBe(OWNER_DIED);
    // Before that it had the tid of a thread that lived.
    for (const word of printed.slice(0, -1)) expect(word).toBeGreaterThan(0);
    for (const word of printed.slice(0, -1)) expect(word).toBeLessThan(OWNER_DIED);
  });
});
