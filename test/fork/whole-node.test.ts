import { describe, expect, test } from 'vitest';
import { ALONE, type Body, inChild } from '../support/forked.js';
import { script } from '../support/script.js';

/** Things that Node can do, and so the child of a fork. Each prints what is expected. */
const abilities: [title: string, body: Body, expected: unknown[]][] = [
  [
    'timers, immediates, ticks and microtasks in their order',
    async ({ print }) => {
      const order: string[] = [];
      setTimeout(() => order.push('timeout'), 0);
      setImmediate(() => order.push('immediate'));
      process.nextTick(() => order.push('tick'));
      queueMicrotask(() => order.push('microtask'));
      order.push('sync');
      let beats = 0;
      await new Promise<void>((resolve) => {
        const interval = setInterval(() => {
          if (++beats < 5) return;
          clearInterval(interval);
          resolve();
        }, 2);
      });
      const start = performance.now();
      await new Promise((resolve) => setTimeout(resolve, 30));
      print([order[0], order.length, beats, performance.now() - start >= 29]);
    },
    [['sync', 5, 5, true]],
  ],
  [
    'files, by promises, callbacks and synchronously',
    async ({ fs, require, print }) => {
      const { join } = require('node:path') as typeof import('node:path');
      const folder = fs.mkdtempSync('/tmp/forklock-fork-');
      const file = join(folder, 'a');
      await fs.promises.writeFile(file, 'one');
      await new Promise((resolve) => fs.appendFile(file, 'two', resolve));
      const text = await fs.promises.readFile(file, 'utf8');
      const many = await Promise.all(Array.from({ length: 100 }, () => fs.promises.stat(file)));
      fs.rmSync(folder, { recursive: true });
      print([text, many.every((stat) => stat.size === 6), fs.existsSync(folder)]);
    },
    [['onetwo', true, false]],
  ],
  [
    'streams and a pipeline through zlib',
    async ({ require, print }) => {
      const { Readable } = require('node:stream') as typeof import('node:stream');
      const { pipeline } = require('node:stream/promises') as typeof import('node:stream/promises');
      const zlib = require('node:zlib') as typeof import('node:zlib');
      let length = 0;
      await pipeline(
        Readable.from(Array.from({ length: 200 }, (_, i) => `${i}`.repeat(1000))),
        zlib.createGzip(),
        zlib.createGunzip(),
        async (source) => {
          for await (const chunk of source) length += chunk.length;
        },
      );
      const packed = await new Promise<Buffer>((resolve) =>
        zlib.brotliCompress('x'.repeat(10_000), (_, b) => resolve(b)),
      );
      print([length, zlib.brotliDecompressSync(packed).length]);
    },
    [[490_000, 10_000]],
  ],
  [
    'a TCP server and its clients',
    async ({ require, print }) => {
      const net = require('node:net') as typeof import('node:net');
      const server = net.createServer((socket) => socket.pipe(socket));
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      const { port } = server.address() as import('node:net').AddressInfo;
      const echo = (text: string): Promise<string> =>
        new Promise((resolve, reject) => {
          let got = '';
          const client = net.connect(port, '127.0.0.1', () => client.end(text));
          client.setEncoding('utf8').on('data', (data) => (got += data));
          client.on('end', () => resolve(got)).on('error', reject);
        });
      print(await Promise.all(Array.from({ length: 10 }, (_, i) => echo(`hello ${i}`))));
      server.close();
    },
    [Array.from({ length: 10 }, (_, i) => `hello ${i}`)],
  ],
  [
    'a unix socket and UDP',
    async ({ require, print }) => {
      const net = require('node:net') as typeof import('node:net');
      const dgram = require('node:dgram') as typeof import('node:dgram');
      const { once } = require('node:events') as typeof import('node:events');
      const path = `\0forklock-${globalThis.crypto.randomUUID()}`;
      const server = net.createServer((socket) => socket.end('unix')).listen(path);
      await once(server, 'listening');
      const [data] = await once(net.connect(path), 'data');
      server.close();
      const udp = dgram.createSocket('udp4').bind(0, '127.0.0.1');
      await once(udp, 'listening');
      udp.send('datagram', udp.address().port, '127.0.0.1');
      const [message] = await once(udp, 'message');
      udp.close();
      print([String(data), String(message)]);
    },
    [['unix', 'datagram']],
  ],
  [
    'an HTTP server, with http.get, keep-alive and fetch',
    async ({ require, print }) => {
      const http = require('node:http') as typeof import('node:http');
      const { text } = require('node:stream/consumers') as typeof import('node:stream/consumers');
      const server = http.createServer((request, response) => response.end(`${request.url} ${process.pid}`));
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      const { port } = server.address() as import('node:net').AddressInfo;
      const agent = new http.Agent({ keepAlive: true });
      const get = (path: string): Promise<string> =>
        new Promise((resolve, reject) =>
          http.get({ port, host: '127.0.0.1', path, agent }, (response) => resolve(text(response))).on('error', reject),
        );
      const answers = [await get('/a'), await get('/b'), await (await fetch(`http://127.0.0.1:${port}/c`)).text()];
      agent.destroy();
      server.close();
      server.closeAllConnections();
      print(answers.map((answer) => answer.replace(String(process.pid), 'pid')));
    },
    [['/a pid', '/b pid', '/c pid']],
  ],
  [
    'names, by getaddrinfo',
    async ({ require, print }) => {
      const dns = require('node:dns') as typeof import('node:dns');
      const { address } = await dns.promises.lookup('localhost', { family: 4 });
      const all = await Promise.all(Array.from({ length: 20 }, () => dns.promises.lookup('127.0.0.1')));
      print([address, all.length, new dns.promises.Resolver().getServers().length > 0]);
    },
    [['127.0.0.1', 20, true]],
  ],
  [
    'crypto, in the pool and not, hashes, keys and signatures',
    async ({ require, print }) => {
      const crypto = require('node:crypto') as typeof import('node:crypto');
      const { promisify } = require('node:util') as typeof import('node:util');
      const key = await promisify(crypto.pbkdf2)('secret', 'salt', 10, 16, 'sha256');
      const [scrypt] = await Promise.all([
        promisify(crypto.scrypt)('secret', 'salt', 16),
        promisify(crypto.randomBytes)(16),
      ]);
      const pair = await promisify(crypto.generateKeyPair)('ed25519');
      const signature = crypto.sign(null, Buffer.from('text'), pair.privateKey);
      const digest = await crypto.subtle.digest('SHA-256', Buffer.from('text'));
      print([
        key.equals(crypto.pbkdf2Sync('secret', 'salt', 10, 16, 'sha256')),
        (scrypt as Buffer).length,
        crypto.verify(null, Buffer.from('text'), pair.publicKey, signature),
        Buffer.from(digest).equals(crypto.createHash('sha256').update('text').digest()),
      ]);
    },
    [[true, 16, true, true]],
  ],
  [
    'processes: spawn, exec, execSync, and their ends',
    async ({ require, print }) => {
      const cp = require('node:child_process') as typeof import('node:child_process');
      const { once } = require('node:events') as typeof import('node:events');
      const { promisify } = require('node:util') as typeof import('node:util');
      const { stdout } = await promisify(cp.exec)('echo exec');
      const cat = cp.spawn('cat', { stdio: ['pipe', 'pipe', 'inherit'] });
      cat.stdin.end('spawn');
      const [data] = await once(cat.stdout, 'data');
      await once(cat, 'close');
      const sleeper = cp.spawn('sleep', ['60']);
      sleeper.kill('SIGTERM');
      const [, signal] = await once(sleeper, 'exit');
      const failing = cp.spawnSync('sh', ['-c', 'exit 5']);
      print([stdout, String(data), signal, failing.status, cp.execSync('echo sync', { encoding: 'utf8' })]);
    },
    [['exec\n', 'spawn', 'SIGTERM', 5, 'sync\n']],
  ],
  [
    'another node, by child_process.fork with its messages',
    async ({ require, print }) => {
      const cp = require('node:child_process') as typeof import('node:child_process');
      const { once } = require('node:events') as typeof import('node:events');
      const child = cp.fork('-e', ['process.on("message", (m) => { process.send(m + 1); process.disconnect(); })'], {
        execArgv: ['-e', 'process.on("message", (m) => { process.send(m + 1); process.disconnect(); })'],
      });
      child.send(41);
      const [message] = await once(child, 'message');
      const [code] = await once(child, 'exit');
      print([message, code]);
    },
    [[42, 0]],
  ],
  [
    'dynamic import and require of what was not loaded yet',
    async ({ require, print }) => {
      // Through eval, as vitest rewrites what it sees.
      // biome-ignore lint/security/noGlobalEval: see above
      const { default: querystring } = await globalThis.eval("import('node:querystring')");
      // biome-ignore lint/security/noGlobalEval: see above
      const own = await globalThis.eval("import('data:text/javascript,export default 6 * 7')");
      print([querystring.parse('a=1').a, own.default, typeof require('node:repl').start]);
    },
    [['1', 42, 'function']],
  ],
  [
    'WebAssembly, compiled in the background',
    async ({ print }) => {
      const add = [
        0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00, 0x01, 0x07, 0x01, 0x60, 0x02, 0x7f, 0x7f, 0x01, 0x7f, 0x03,
        0x02, 0x01, 0x00, 0x07, 0x07, 0x01, 0x03, 0x61, 0x64, 0x64, 0x00, 0x00, 0x0a, 0x09, 0x01, 0x07, 0x00, 0x20,
        0x00, 0x20, 0x01, 0x6a, 0x0b,
      ];
      // biome-ignore lint/suspicious/noExplicitAny: the types of node have no WebAssembly
      const { WebAssembly } = globalThis as any;
      const module = await WebAssembly.compile(new Uint8Array(add));
      const { instance } = await WebAssembly.instantiate(new Uint8Array(add));
      const other = new WebAssembly.Instance(module);
      let sum = 0;
      for (let i = 0; i < 1_000_000; i++) sum = instance.exports.add(sum, i) | 0;
      print([sum, other.exports.add(40, 2)]);
    },
    [[1_783_293_664, 42]],
  ],
  [
    'the optimising compiler, on old code and new',
    async ({ print }) => {
      const results: number[] = [];
      for (let round = 0; round < 20; round++) {
        const hot = new Function(
          'n',
          `let x = ${round}; for (let i = 0; i < n; i++) x = (x * 31 + i) % 1000003; return x;`,
        );
        for (let i = 0; i < 50; i++) hot(1000);
        results.push(hot(300_000));
        await new Promise((resolve) => setImmediate(resolve)); // where code that was compiled meanwhile is put in
      }
      print([results.length, results.every((n) => Number.isInteger(n) && n >= 0)]);
    },
    [[20, true]],
  ],
  [
    'the garbage collector: young, old, large and weak',
    async ({ print }) => {
      const registry = new FinalizationRegistry<number>(() => collected++);
      let collected = 0;
      let kept: unknown[] = [];
      for (let round = 0; round < 30; round++) {
        for (let i = 0; i < 20_000; i++) kept.push({ i, text: `${i}`, list: [i, { i }] });
        registry.register({}, round);
        if (round % 5 === 4) kept = kept.slice(-1000);
        Buffer.alloc(1 << 20);
        await new Promise((resolve) => setImmediate(resolve));
      }
      print([kept.length, (kept.at(-1) as { i: number }).i, collected >= 0]);
    },
    [[1000, 19_999, true]],
  ],
  [
    'gc() and WeakRef, by --expose-gc set later',
    async ({ require, print }) => {
      const v8 = require('node:v8') as typeof import('node:v8');
      const vm = require('node:vm') as typeof import('node:vm');
      v8.setFlagsFromString('--expose-gc');
      const gc = vm.runInNewContext('gc') as () => void;
      const refs = Array.from({ length: 100 }, () => new WeakRef({ big: new Array(1000) }));
      for (let i = 0; i < 3; i++) {
        await new Promise((resolve) => setImmediate(resolve));
        gc();
      }
      print(refs.every((ref) => ref.deref() === undefined));
    },
    [true],
  ],
  [
    'fs.watch and fs.watchFile',
    async ({ fs, print }) => {
      const folder = fs.mkdtempSync('/tmp/forklock-fork-');
      fs.writeFileSync(`${folder}/b`, '');
      const seen = await new Promise((resolve) => {
        const watcher = fs.watch(folder, (_, name) => {
          watcher.close();
          resolve(name);
        });
        fs.writeFileSync(`${folder}/a`, 'x');
      });
      const size = await new Promise((resolve) => {
        fs.watchFile(`${folder}/b`, { interval: 5 }, (now) => {
          if (now.size === 0) return; // the first look
          fs.unwatchFile(`${folder}/b`);
          resolve(now.size);
        });
        const write = (): void => {
          if (!fs.existsSync(folder)) return;
          fs.appendFileSync(`${folder}/b`, 'x');
          writing = setTimeout(write, 20);
        };
        let writing = setTimeout(write, 20);
        process.once('beforeExit', () => {});
        setTimeout(() => clearTimeout(writing), 500);
      });
      fs.rmSync(folder, { recursive: true });
      print([seen, Number(size) > 0]);
    },
    [['a', true]],
  ],
  [
    'signals from outside and from itself',
    async ({ require, print }) => {
      const { execFileSync } = require('node:child_process') as typeof import('node:child_process');
      const got: string[] = [];
      const keep = setInterval(() => {}, 1000);
      await new Promise<void>((resolve) => {
        for (const signal of ['SIGUSR2', 'SIGTERM', 'SIGINT', 'SIGHUP'] as const) {
          process.on(signal, () => {
            got.push(signal);
            if (got.length === 4) resolve();
          });
        }
        process.kill(process.pid, 'SIGUSR2');
        execFileSync('sh', ['-c', `kill -TERM ${process.pid}; kill -INT ${process.pid}; kill -HUP ${process.pid}`]);
      });
      clearInterval(keep);
      print(got.sort());
    },
    [['SIGHUP', 'SIGINT', 'SIGTERM', 'SIGUSR2']],
  ],
  [
    'Atomics.wait and waitAsync, SharedArrayBuffer and MessageChannel',
    async ({ print }) => {
      const words = new Int32Array(new SharedArrayBuffer(8));
      const slept = Atomics.wait(words, 0, 0, 5);
      // biome-ignore lint/suspicious/noExplicitAny: newer than the types
      const { value } = (Atomics as any).waitAsync(words, 0, 0, 5);
      const { port1, port2 } = new MessageChannel();
      const message = new Promise((resolve) => port2.once('message', resolve));
      port1.postMessage({ a: [1] });
      const beat = setInterval(() => {}, 1);
      print([slept, await value, await message]);
      clearInterval(beat);
      port1.close();
    },
    [['timed-out', 'timed-out', { a: [1] }]],
  ],
  [
    'AsyncLocalStorage, performance, structuredClone, Intl, AbortSignal.timeout',
    async ({ require, print }) => {
      const { AsyncLocalStorage } = require('node:async_hooks') as typeof import('node:async_hooks');
      const { monitorEventLoopDelay } = require('node:perf_hooks') as typeof import('node:perf_hooks');
      const storage = new AsyncLocalStorage<number>();
      const stored = await storage.run(7, async () => {
        await new Promise((resolve) => setImmediate(resolve));
        return storage.getStore();
      });
      const delay = monitorEventLoopDelay({ resolution: 1 });
      delay.enable();
      const beat = setInterval(() => {}, 1);
      const aborted = await new Promise((resolve) => {
        const signal = AbortSignal.timeout(10);
        signal.onabort = () => resolve(signal.reason.name);
      });
      while (delay.count === 0) await new Promise((resolve) => setTimeout(resolve, 1)); // the first delay is between two looks
      clearInterval(beat);
      delay.disable();
      print([
        stored,
        delay.count > 0,
        aborted,
        structuredClone({ a: new Map([[1, 2n]]) }).a.size,
        new Intl.NumberFormat('de').format(1234.5),
      ]);
    },
    [[7, true, 'TimeoutError', 1, '1.234,5']],
  ],
];

/** Their threads end in a process whose other threads were not carried over, and there that is said not to work. */
const threads: [title: string, body: Body, expected: unknown[]][] = [
  [
    'worker threads: messages, ends, many at a time',
    async ({ Worker, require, print }) => {
      const { once } = require('node:events') as typeof import('node:events');
      const source = `
        const { parentPort, workerData } = require('node:worker_threads');
        parentPort.on('message', (n) => { parentPort.postMessage(n * workerData); parentPort.close(); });
      `;
      const results = await Promise.all(
        [1, 2, 3, 4].map(async (factor) => {
          const worker = new Worker(source, { eval: true, workerData: factor });
          worker.postMessage(10);
          const [[answer], [code]] = await Promise.all([once(worker, 'message'), once(worker, 'exit')]);
          return [answer, code];
        }),
      );
      const exits = new Worker('process.exit(3)', { eval: true });
      const [code] = await once(exits, 'exit');
      const busy = new Worker('for (;;);', { eval: true });
      await once(busy, 'online');
      print([results, code, await busy.terminate()]);
    },
    [
      [
        [
          [10, 0],
          [20, 0],
          [30, 0],
          [40, 0],
        ],
        3,
        1,
      ],
    ],
  ],
  [
    'forklock in worker threads',
    async ({ Worker, forklock, require, print }) => {
      const { once } = require('node:events') as typeof import('node:events');
      const lock = new forklock.Lock();
      const value = new forklock.Value('int32', 0);
      const source = `
        const { workerData } = require('node:worker_threads');
        import('forklock').then(async ({ Lock, Value }) => {
          const [lock, value] = [Lock.from(workerData.lock), Value.from(workerData.value)];
          for (let i = 0; i < 50; i++) {
            await lock.acquireAsync();
            value.value++;
            lock.release();
          }
        });
      `;
      const workerData = { lock: lock.handle, value: value.handle };
      const workers = [1, 2].map(() => new Worker(source, { eval: true, workerData }));
      await Promise.all(workers.map((worker) => once(worker, 'exit')));
      print(value.value);
    },
    [100],
  ],
];

describe('the child of a fork is a whole Node: it has', () => {
  test.each([...abilities, ...threads])('%s', async (_, body, expected) => {
    const { printed, stderr, status } = await inChild(body);
    expect({ stderr, status }).toMatchObject({ stderr: '', status: { exitCode: 0, signal: null } });
    expect(printed).toEqual(expected);
  });
});

test('it has time for what V8 does in the background, also when its parent had a timer', async () => {
  const wasm = abilities.find(([title]) => title.startsWith('WebAssembly'))!;
  const { printed, stderr } = await script(
    async (scope, source) => {
      const timer = setTimeout(() => {}, 60_000);
      const pid = scope.forklock.fork();
      // biome-ignore lint/security/noGlobalEval: the source is a function of the test
      if (pid === 0) return globalThis.eval(`(${source})`)(scope);
      scope.print((await scope.forklock.waitpidAsync(pid))!.exitCode);
      clearTimeout(timer);
    },
    [wasm[1].toString()],
  );
  expect({ printed, stderr }).toEqual({ printed: [...wasm[2], 0], stderr: '' });
});

describe(`with ${ALONE.join(' ')} the child has`, () => {
  test.each(abilities)('%s', async (_, body, expected) => {
    const { printed, stderr, status } = await inChild(body, { execArgv: ALONE });
    expect({ stderr, status }).toMatchObject({ stderr: '', status: { exitCode: 0, signal: null } });
    expect(printed).toEqual(expected);
  });
});

test('all of them work in a child one after the other, and in a child of that child', async () => {
  const bodies = [...abilities, ...threads].filter(([title]) => !title.startsWith('signals'));
  const source = `async (scope) => {
    const bodies = [${bodies.map(([, body]) => body.toString()).join(',\n')}];
    for (let depth = 0; depth < 2; depth++) {
      for (const body of bodies) await body({ ...scope, print: () => {} });
      scope.print(depth);
      if (depth === 1) return;
      const pid = scope.forklock.fork();
      if (pid > 0) return scope.print((await scope.forklock.waitpidAsync(pid)).exitCode);
    }
  }`;
  const { printed, stderr, status } = await inChild({ toString: () => source } as unknown as Body, {
    deadline: 80_000,
  });
  expect({ printed, stderr, status }).toMatchObject({ printed: [0, 1, 0], stderr: '', status: { exitCode: 0 } });
});
