import { execFile } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { inChild } from '../support/forked.js';
import { own } from '../support/own.js';
import { script } from '../support/script.js';

const MEGABYTE = 1 << 20;
const root = fileURLToPath(new URL('../..', import.meta.url));

/** Runs a program whose output nobody reads before it is full, and says what came through in the end. */
async function throughSlowPipe(source: string): Promise<string> {
  const reader = 'read line <&3; cat';
  const command = `mkfifo "$0.fifo" && exec 3<>"$0.fifo" && rm "$0.fifo" && exec "$1" --input-type=module -e "$2" 3>&3 | (${reader})`;
  const { stdout } = await promisify(execFile)('sh', ['-c', command, join(tmpdir(), own()), process.execPath, source], {
    cwd: root,
    maxBuffer: 64 * MEGABYTE,
    timeout: 20_000,
    killSignal: 'SIGKILL',
  });
  return stdout;
}

const prelude = `
  import { writeSync } from 'node:fs';
  import { fork, waitpid, waitpidAsync } from 'forklock';
  const megabyte = 'x'.repeat(${MEGABYTE - 1});
  const read = () => writeSync(3, '\\n'); // the reader begins
`;

describe('what a child writes to a pipe arrives', () => {
  test.each([
    ['falls off the end', ({ print }) => print('x'.repeat(1 << 20))],
    [
      'exits at once',
      ({ print }) => {
        print('x'.repeat(1 << 20));
        process.exit();
      },
    ],
    [
      'exits at once, having written lines',
      ({ print }) => {
        for (let i = 0; i < 64; i++) print('x'.repeat(1 << 14));
        process.exit();
      },
    ],
    ["writes in an 'exit' handler", ({ print }) => void process.on('exit', () => print('x'.repeat(1 << 20)))],
  ] as [string, Parameters<typeof inChild>[0]][])('all of a megabyte when it %s', async (_, body) => {
    const { printed, stderr, status } = await inChild(body);
    expect({ stderr, exitCode: status?.exitCode }).toEqual({ stderr: '', exitCode: 0 });
    expect(printed.join('').length).toBe(MEGABYTE);
  });

  test('all of a megabyte, though nobody reads before it has called process.exit()', async () => {
    const stdout = await throughSlowPipe(`${prelude}
      const pid = fork();
      if (pid === 0) {
        process.on('exit', read);
        console.log(megabyte);
        process.exit();
      }
      waitpid(pid);
    `);
    expect(stdout.length).toBe(MEGABYTE);
  });

  test('before what the parent writes afterwards', async () => {
    const { printed, stderr } = await script(({ forklock, print }) => {
      print('before');
      const pid = forklock.fork();
      if (pid === 0) return print('child');
      forklock.waitpid(pid);
      print('after');
    }, []);
    expect({ printed, stderr }).toEqual({ printed: ['before', 'child', 'after'], stderr: '' });
  });
});

test('what the parent had still to write at the fork is written once', async () => {
  const stdout = await throughSlowPipe(`${prelude}
    console.log(megabyte);
    const pid = fork();
    if (pid > 0) {
      read();
      await waitpidAsync(pid);
    }
  `);
  expect(stdout.length).toBe(MEGABYTE);
});
