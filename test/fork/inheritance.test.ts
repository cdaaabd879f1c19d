import { rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { ALONE } from '../support/forked.js';
import { own } from '../support/own.js';
import { program } from '../support/program.js';
import { script } from '../support/script.js';

const ended = { exitCode: 0, signal: null };

describe('a server that listens at the fork', () => {
  test('is shared: parent and children all accept (pre-fork)', async () => {
    const { printed, stderr, code } = await script(async ({ forklock, require, print }) => {
      const http = require('node:http') as typeof import('node:http');
      const done = new forklock.Event();
      const server = http.createServer((_, response) => {
        response.setHeader('connection', 'close').end(String(process.pid));
      });
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      const { port } = server.address() as import('node:net').AddressInfo;
      const children: number[] = [];
      for (let i = 0; i < 3; i++) {
        const pid = forklock.fork();
        if (pid === 0) {
          await done.waitAsync();
          server.close();
          return;
        }
        children.push(pid);
      }
      const get = (): Promise<number> =>
        new Promise((resolve, reject) =>
          http
            .get({ port, host: '127.0.0.1', agent: false }, (response) => {
              response.setEncoding('utf8').once('data', (pid) => resolve(Number(pid)));
            })
            .on('error', reject),
        );
      const answered = new Set<number>();
      while (answered.size < 4) for (const pid of await Promise.all(Array.from({ length: 8 }, get))) answered.add(pid);
      done.set();
      server.close();
      const statuses = await Promise.all(children.map((pid) => forklock.waitpidAsync(pid)));
      print({ all: [process.pid, ...children].every((pid) => answered.has(pid)), statuses });
    }, []);
    expect({ stderr, code }).toEqual({ stderr: '', code: 0 });
    expect(printed).toMatchObject([{ all: true, statuses: [ended, ended, ended] }]);
  });

  test.each(['parent', 'child'])('goes on in the other when the %s has closed its own', async (closing) => {
    const { printed, stderr, code } = await script(
      async ({ forklock, require, print }, closing) => {
        const net = require('node:net') as typeof import('node:net');
        const [closed, over] = [new forklock.Event(), new forklock.Event()];
        const server = net.createServer((socket) => socket.end(String(process.pid)));
        await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
        const { port } = server.address() as import('node:net').AddressInfo;
        const pid = forklock.fork();
        if (pid === 0 ? closing === 'child' : closing === 'parent') {
          await new Promise((resolve) => server.close(resolve));
          closed.set();
        }
        if (pid === 0) {
          await over.waitAsync();
          if (server.listening) server.close();
          return;
        }
        await closed.waitAsync();
        const answers: number[] = [];
        for (let i = 0; i < 10; i++) {
          answers.push(
            await new Promise((resolve, reject) => {
              net
                .connect(port, '127.0.0.1')
                .on('error', reject)
                .once('data', (data) => resolve(Number(data)));
            }),
          );
        }
        over.set();
        if (server.listening) server.close();
        const status = await forklock.waitpidAsync(pid);
        print({ by: [...new Set(answers)].map((by) => (by === pid ? 'child' : 'parent')), status });
      },
      [closing],
    );
    expect({ stderr, code }).toEqual({ stderr: '', code: 0 });
    expect(printed).toMatchObject([{ by: [closing === 'parent' ? 'child' : 'parent'], status: ended }]);
  });

  test('keeps the child alive until it is closed or unreferenced there, too', async () => {
    const { printed, stderr } = await script(async ({ forklock, require, print }) => {
      const net = require('node:net') as typeof import('node:net');
      const server = net.createServer(() => {}).listen(0);
      await new Promise((resolve) => server.once('listening', resolve));
      const unreferenced = forklock.fork();
      if (unreferenced === 0) return void server.unref();
      const first = await forklock.waitpidAsync(unreferenced);
      const kept = forklock.fork();
      if (kept === 0) return;
      const early = await forklock.waitpidAsync(kept, { timeout: 200 });
      process.kill(kept);
      const late = await forklock.waitpidAsync(kept);
      server.close();
      print([first!.exitCode, early ?? null, late!.signal]);
    }, []);
    expect({ printed, stderr }).toEqual({ printed: [[0, null, 'SIGTERM']], stderr: '' });
  });
});

/** Its parts: a client in a process of its own, and the parent, which has a connection to it when it forks. */
const connected = `
  const net = require('node:net');
  const { Event, fork, waitpidAsync } = forklock;
  const server = net.createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address();
  const client = fork();
  if (client === 0) {
    server.close();
    let got = '';
    const socket = net.connect(port, '127.0.0.1', () => socket.write('from client'));
    socket.setEncoding('utf8').on('data', (data) => (got += data));
    await new Promise((resolve) => socket.once('end', resolve));
    print({ client: got });
    return;
  }
  const socket = await new Promise((resolve) => server.once('connection', resolve));
  server.close();
  socket.setEncoding('utf8');
`;

describe.each([
  ['carried', []],
  ['alone', ALONE],
])('a connection that the parent has at the fork (%s)', (_, execArgv) => {
  test('is dead in the child: it neither reads nor writes, nor keeps it open when the parent ends it', async () => {
    const { printed, stderr, code } = await program(
      `${connected}
      const [tried, over] = [new Event(), new Event()];
      const child = fork();
      if (child === 0) {
        let got = 0;
        socket.on('data', () => got++).on('error', () => {});
        socket.write('from child');
        setImmediate(() => setImmediate(() => tried.set()));
        await over.waitAsync();
        print({ child: got });
        return;
      }
      await tried.waitAsync();
      const heard = await new Promise((resolve) => socket.once('data', resolve));
      socket.end('from parent');
      print({ client: await waitpidAsync(client) }); // it has seen the end, though the child lives
      over.set();
      print({ heard, child: await waitpidAsync(child) });
    `,
      { execArgv },
    );
    expect({ stderr, code }).toEqual({ stderr: '', code: 0 });
    expect(printed).toMatchObject([
      { client: 'from parent' },
      { client: ended },
      { child: 0 },
      { heard: 'from client', child: ended },
    ]);
  });

  test('does not keep the child alive, nor do its listeners run there', async () => {
    const { printed, stderr, code } = await program(
      `${connected}
      socket.on('close', () => print({ closed: process.pid === parent }));
      const parent = process.pid;
      const child = fork();
      if (child === 0) return;
      const status = await waitpidAsync(child);
      socket.resume().end();
      await waitpidAsync(client);
      print({ status });
    `,
      { execArgv },
    );
    expect({ stderr, code }).toEqual({ stderr: '', code: 0 });
    expect(printed.filter((line) => line.closed !== undefined)).toEqual([{ closed: true }]);
    expect(printed.find((line) => line.status)).toMatchObject({ status: ended });
  });

  test('can be destroyed in the child without harm to the parent', async () => {
    const { printed, stderr, code } = await program(
      `${connected}
      const child = fork();
      if (child === 0) {
        socket.destroy();
        await new Promise((resolve) => socket.once('close', resolve));
        return;
      }
      const status = await waitpidAsync(child);
      const heard = await new Promise((resolve) => socket.once('data', resolve));
      socket.end('still here');
      await waitpidAsync(client);
      print({ heard, status });
    `,
      { execArgv },
    );
    expect({ stderr, code }).toEqual({ stderr: '', code: 0 });
    expect(printed).toMatchObject([{ client: 'still here' }, { heard: 'from client', status: ended }]);
  });

  test.each(['socket', 'socket._handle.fd'])('is handed on by keep: [%s]', async (kept) => {
    const { printed, stderr, code } = await program(
      `${connected}
      const child = fork({ keep: [${kept}] });
      if (child === 0) {
        const heard = await new Promise((resolve) => socket.once('data', resolve));
        socket.end(heard + ', from child');
        await new Promise((resolve) => socket.once('close', resolve));
        print({ heard });
        return;
      }
      socket.destroy();
      print({ statuses: await Promise.all([client, child].map((pid) => waitpidAsync(pid))) });
    `,
      { execArgv },
    );
    expect({ stderr, code }).toEqual({ stderr: '', code: 0 });
    expect(printed).toContainEqual({ heard: 'from client' });
    expect(printed).toContainEqual({ client: 'from client, from child' });
    expect(printed.at(-1)).toMatchObject({ statuses: [ended, ended] });
  });
});

test('an HTTP request can be answered by a child that was given its socket', async () => {
  const { printed, stderr, code } = await script(async ({ forklock, require, print }) => {
    const http = require('node:http') as typeof import('node:http');
    const { text } = require('node:stream/consumers') as typeof import('node:stream/consumers');
    const children: number[] = [];
    const server = http.createServer((request, response) => {
      const pid = forklock.fork({ keep: [request.socket] });
      if (pid === 0) {
        server.close();
        response.setHeader('connection', 'close').end(`${request.url} by ${process.ppid === parent}`);
        request.socket.on('close', () => process.exit());
        return;
      }
      children.push(pid);
      request.socket.destroy();
    });
    const parent = process.pid;
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as import('node:net').AddressInfo;
    for (const path of ['/a', '/b', '/c']) {
      const body = await new Promise((resolve, reject) =>
        http.get({ port, host: '127.0.0.1', path, agent: false }, (r) => resolve(text(r))).on('error', reject),
      );
      print(body);
    }
    server.close();
    const statuses = await Promise.all(children.map((pid) => forklock.waitpidAsync(pid)));
    print(statuses.map((status) => status!.exitCode));
  }, []);
  expect({ printed, stderr, code }).toEqual({
    printed: ['/a by true', '/b by true', '/c by true', [0, 0, 0]],
    stderr: '',
    code: 0,
  });
});

describe.each([
  ['carried', []],
  ['alone', ALONE],
])('what the parent had under way at the fork (%s)', (_, execArgv) => {
  test('calls in the pool end in the parent only, and do not keep the child alive', async () => {
    const { printed, stderr, code } = await program(
      `
      const parent = process.pid;
      const who = () => (process.pid === parent ? 'parent' : 'child');
      const { mkdtempSync, rmSync, writeFileSync } = fs;
      const folder = mkdtempSync('/tmp/forklock-fork-');
      require('node:child_process').execFileSync('mkfifo', [folder + '/fifo']);
      fs.readFile(folder + '/fifo', 'utf8', (_, text) => print([who(), 'fifo', text])); // sits in the pool till somebody writes
      fs.promises.readFile('/proc/self/stat').then(() => print([who(), 'file']));
      require('node:dns').lookup('localhost', () => print([who(), 'name']));
      require('node:crypto').pbkdf2('a', 'b', 1000, 16, 'sha1', () => print([who(), 'key']));
      for (let i = 0; i < 20; i++) fs.stat('/', () => {});
      const child = forklock.fork();
      if (child === 0) return void process.on('exit', () => print([who(), 'exit']));
      print(await forklock.waitpidAsync(child));
      writeFileSync(folder + '/fifo', 'text');
      rmSync(folder, { recursive: true });
    `,
      { execArgv },
    );
    expect({ stderr, code }).toEqual({ stderr: '', code: 0 });
    const lines = printed.filter(Array.isArray);
    expect(lines.filter(([who]) => who === 'child')).toEqual([['child', 'exit']]);
    expect(lines.filter(([who]) => who === 'parent').sort()).toEqual([
      ['parent', 'fifo', 'text'],
      ['parent', 'file'],
      ['parent', 'key'],
      ['parent', 'name'],
    ]);
    expect(printed.find((line) => !Array.isArray(line))).toMatchObject(ended);
  });

  test('calls in the pool that had ended when it forked, but were not reported yet', async () => {
    const { printed, stderr, code } = await program(
      `
      const parent = process.pid;
      const folder = fs.mkdtempSync(require('node:os').tmpdir() + '/forklock-');
      process.on('exit', () => process.pid === parent && fs.rmSync(folder, { recursive: true }));
      for (let i = 0; i < 50; i++) fs.mkdir(folder + '/' + i, () => count++);
      let count = 0;
      while (fs.readdirSync(folder).length < 50); // the pool's threads do them meanwhile, and the results wait in the loop
      const child = forklock.fork();
      process.on('exit', () => print([process.pid === parent ? 'parent' : 'child', count]));
      if (child > 0) await forklock.waitpidAsync(child);
    `,
      { execArgv },
    );
    expect({ printed, stderr, code }).toEqual({
      printed: [
        ['child', 0],
        ['parent', 50],
      ],
      stderr: '',
      code: 0,
    });
  });

  test('timers and immediates are the parent’s; ticks, microtasks and unreferenced timers go on in both', async () => {
    const { printed, stderr, code } = await program(
      `
      const parent = process.pid;
      const did = [];
      setTimeout(() => did.push('timeout'), 20);
      setTimeout(() => did.push('unreferenced'), 1).unref();
      setImmediate(() => did.push('immediate'));
      process.nextTick(() => did.push('tick'));
      queueMicrotask(() => did.push('microtask'));
      const child = forklock.fork();
      // Long enough for all that was there before.
      setTimeout(() => did.push('own'), 60);
      process.on('exit', () => print([process.pid === parent ? 'parent' : 'child', did.sort()]));
      if (child > 0) await forklock.waitpidAsync(child);
    `,
      { execArgv },
    );
    expect({ stderr, code }).toEqual({ stderr: '', code: 0 });
    const copies = ['microtask', 'own', 'tick', 'unreferenced'];
    expect(printed).toEqual([
      ['child', copies],
      ['parent', ['immediate', ...copies, 'timeout'].sort()],
    ]);
  });

  test("an interval of the parent's does not run in the child", async () => {
    const { printed, stderr, code } = await program(
      `
      const parent = process.pid;
      let beats = 0;
      const interval = setInterval(() => {
        if (++beats === 3) clearInterval(interval);
      }, 2);
      const child = forklock.fork();
      process.on('exit', () => print([process.pid === parent ? 'parent' : 'child', beats]));
      if (child > 0) await forklock.waitpidAsync(child);
    `,
      { execArgv },
    );
    expect({ printed, stderr, code }).toEqual({
      printed: [
        ['child', 0],
        ['parent', 3],
      ],
      stderr: '',
      code: 0,
    });
  });

  test("its processes, watchers and pipes are the parent's", async () => {
    const { printed, stderr, code } = await program(
      `
      const { spawn } = require('node:child_process');
      const parent = process.pid;
      const who = () => (process.pid === parent ? 'parent' : 'child');
      const folder = fs.mkdtempSync('/tmp/forklock-fork-');
      const watcher = fs.watch(folder, () => print([who(), 'watch']));
      const cat = spawn('cat', { stdio: ['pipe', 'pipe', 'inherit'] });
      await new Promise((resolve) => cat.stdin.write('warm', () => cat.stdout.once('data', resolve)));
      cat.stdout.on('data', (data) => print([who(), String(data)]));
      cat.on('exit', () => print([who(), 'exit']));
      const child = forklock.fork();
      if (child === 0) {
        cat.stdin.on('error', () => {});
        cat.stdin.write('from child');
        return;
      }
      print((await forklock.waitpidAsync(child)).exitCode);
      const seen = new Promise((resolve) => watcher.once('change', resolve));
      fs.mkdirSync(folder + '/a');
      await seen;
      watcher.close();
      cat.stdin.end('from parent');
      await new Promise((resolve) => cat.once('close', resolve));
      fs.rmSync(folder, { recursive: true });
    `,
      { execArgv },
    );
    expect({ stderr, code }).toEqual({ stderr: '', code: 0 });
    expect(printed.sort()).toEqual([0, ['parent', 'exit'], ['parent', 'from parent'], ['parent', 'watch']].sort());
  });
});

describe("handlers of 'exit'", () => {
  test('from before the fork run once in each process, later ones where they were added', async () => {
    const { printed, stderr, code } = await script(({ forklock, print }) => {
      process.on('exit', (code) => print(['before', name, code]));
      process.on('beforeExit', () => print(['beforeExit', name]));
      let name = 'parent';
      const pid = forklock.fork();
      if (pid === 0) {
        name = 'child';
        process.on('exit', () => print(['only', name]));
        process.exitCode = 2;
      } else {
        forklock.waitpid(pid);
        process.on('exit', () => print(['only', name]));
      }
    }, []);
    expect({ printed, stderr, code }).toEqual({
      printed: ['child', 'parent'].flatMap((name) => [
        ['beforeExit', name],
        ['before', name, name === 'child' ? 2 : 0],
        ['only', name],
      ]),
      stderr: '',
      code: 0,
    });
  });
});

test('variables, environment, argv, title, umask and working directory are copies', async () => {
  const { printed, stderr } = await script(({ forklock, print }) => {
    const state = { list: [1], map: new Map([['a', 1]]) };
    const buffer = Buffer.alloc(4);
    const shown = () => ({
      list: state.list,
      a: state.map.get('a'),
      buffer: buffer.toString('hex'),
      env: process.env.FORKLOCK_TEST_COPY ?? null,
      argv: process.argv.length,
      title: process.title,
      umask: process.umask(),
      cwd: process.cwd(),
      global: (globalThis as { copied?: number }).copied ?? null,
    });
    process.title = 'before';
    process.umask(0o22);
    const before = shown();
    const pid = forklock.fork();
    if (pid === 0) {
      print(JSON.stringify(shown()) === JSON.stringify(before));
      state.list.push(2);
      state.map.set('a', 2);
      buffer.fill(255);
      process.env.FORKLOCK_TEST_COPY = 'child';
      process.argv.push('child');
      process.title = 'child';
      process.umask(0o77);
      process.chdir('/');
      (globalThis as { copied?: number }).copied = 1;
      return print(JSON.stringify(shown()) !== JSON.stringify(before));
    }
    forklock.waitpid(pid);
    print(JSON.stringify(shown()) === JSON.stringify(before));
  }, []);
  expect({ printed, stderr }).toEqual({ printed: [true, true, true], stderr: '' });
});

test('an open file is shared with its position', async () => {
  const { printed, stderr } = await script(({ forklock, fs, print }) => {
    const fd = fs.openSync('/proc/self/cmdline', 'r');
    const part = Buffer.alloc(4);
    fs.readSync(fd, part);
    const file = fs.mkdtempSync('/tmp/forklock-fork-');
    const out = fs.openSync(`${file}/a`, 'w+');
    fs.writeSync(out, 'one ');
    const pid = forklock.fork();
    if (pid === 0) return void fs.writeSync(out, 'two ');
    forklock.waitpid(pid);
    fs.writeSync(out, 'three');
    print(fs.readFileSync(`${file}/a`, 'utf8'));
    fs.rmSync(file, { recursive: true });
  }, []);
  expect({ printed, stderr }).toEqual({ printed: ['one two three'], stderr: '' });
});

test('the channel to whoever started the parent by child_process.fork is gone in the child', async () => {
  const { printed, stderr, code } = await script(async ({ require, print }) => {
    const { spawn } = require('node:child_process') as typeof import('node:child_process');
    const { fileURLToPath } = require('node:url') as typeof import('node:url');
    const source = `
      import { fork, waitpidAsync } from 'forklock';
      process.on('message', (message) => {
        process.send({ heard: message, who });
        process.disconnect();
      });
      process.on('disconnect', () => console.log(JSON.stringify({ disconnected: who })));
      let who = 'parent';
      const pid = fork();
      if (pid === 0) {
        who = 'child';
        console.log(JSON.stringify({ send: typeof process.send, connected: process.connected, channel: process.channel ?? null }));
      } else {
        process.send({ status: await waitpidAsync(pid) });
      }
    `;
    const parent = spawn(process.execPath, ['--input-type=module', '-e', source], {
      cwd: fileURLToPath(new URL('..', `file://${require.resolve('forklock')}`)),
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    parent.on('message', (message: { status?: unknown }) => {
      print(message);
      if (message.status) parent.send('hello'); // the child has ended, and the channel goes on
    });
    print({ code: await new Promise((resolve) => parent.once('exit', resolve)) });
  }, []);
  expect({ stderr, code }).toEqual({ stderr: '', code: 0 });
  expect(printed.find((line) => line.send)).toEqual({ send: 'undefined', connected: false, channel: null });
  expect(printed.find((line) => line.status)).toMatchObject({ status: ended });
  expect(printed.filter((line) => line.heard)).toEqual([{ heard: 'hello', who: 'parent' }]);
  expect(printed.filter((line) => line.disconnected)).toEqual([{ disconnected: 'parent' }]);
  expect(printed.filter((line) => line.code !== undefined)).toEqual([{ code: 0 }]);
});

describe('standard input', () => {
  const under = ['sh', '-c', 'printf "one\\ntwo\\n" | "$@"', 'sh'];

  test('can be read by the child when the parent has not begun to', async () => {
    const { printed, stderr, code } = await script(
      async ({ forklock, print }) => {
        const pid = forklock.fork();
        if (pid > 0) return print(await forklock.waitpidAsync(pid));
        let text = '';
        for await (const part of process.stdin) text += part;
        print(text);
      },
      [],
      { under },
    );
    expect({ stderr, code }).toEqual({ stderr: '', code: 0 });
    expect(printed).toMatchObject(['one\ntwo\n', ended]);
  });

  test('can be read by its number in the child', async () => {
    const { printed, stderr, code } = await script(
      async ({ forklock, fs, print }) => {
        const pid = forklock.fork();
        if (pid > 0) return print(await forklock.waitpidAsync(pid));
        print(fs.readFileSync(0, 'utf8'));
      },
      [],
      { under },
    );
    expect({ stderr, code }).toEqual({ stderr: '', code: 0 });
    expect(printed).toMatchObject(['one\ntwo\n', ended]);
  });

  test("is the parent's when the parent reads it, and does not keep the child alive", async () => {
    const go = join(tmpdir(), own());
    const { printed, stderr, code } = await script(
      async ({ forklock, fs, print }, go) => {
        const parent = process.pid;
        process.stdin.setEncoding('utf8').on('data', (data) => {
          print([process.pid === parent ? 'parent' : 'child', data]);
        });
        const pid = forklock.fork();
        if (pid === 0) return;
        print((await forklock.waitpidAsync(pid))!.exitCode);
        fs.writeFileSync(go, ''); // now there is something to read
      },
      [go] as const,
      { under: ['sh', '-c', '(until [ -e "$0" ]; do sleep 0.01; done; echo text) | "$@"', go] },
    );
    rmSync(go);
    expect({ printed, stderr, code }).toEqual({ printed: [0, ['parent', 'text\n']], stderr: '', code: 0 });
  });
});
