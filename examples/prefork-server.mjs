// A pre-fork HTTP server: one process listens, its children answer.
//
// The children inherit the listening socket, and whoever is free accepts the next connection. They count the requests in
// one shared Value. SIGTERM or Ctrl-C ends the server; when it is killed, its children end, too: each waits for a
// lock that the parent keeps for as long as it lives.
//
//   node examples/prefork-server.mjs [port]      and then: curl localhost:<port>
import { once } from 'node:events';
import { createServer } from 'node:http';
import { cpuCount, fork, Lock, RawValue, waitpidAsync } from 'forklock';

const port = Number(process.argv[2] ?? 0);
if (!(Number.isInteger(port) && port >= 0 && port < 65_536)) {
  console.error('usage: node examples/prefork-server.mjs [port]');
  process.exit(2);
}

const requests = new RawValue('int32');
const alive = new Lock();
alive.acquire();

const server = createServer((_request, response) => {
  const number = requests.add(1) + 1;
  for (const end = performance.now() + 5; performance.now() < end; ); // simulated work
  response.setHeader('connection', 'close'); // so that each request may come to another process
  response.end(`request ${number} was answered by process ${process.pid}\n`);
});
server.listen(port, 'localhost');
await once(server, 'listening');

const children = new Set();
for (let i = 0; i < Math.max(2, cpuCount()); i++) {
  const pid = fork();
  if (pid === 0) await answer();
  children.add(pid);
}
await supervise();

/** In a child: the server is there already, and goes on. */
async function answer() {
  process.on('SIGINT', () => {}); // Ctrl-C reaches the whole group; the parent says when to end
  process.on('SIGTERM', () => server.close(() => process.exit()));
  await alive.acquireAsync(); // which nobody gets before the parent has ended
  process.exit();
}

/** In the parent. */
async function supervise() {
  console.log(`process ${process.pid} listens on port ${server.address().port}`);
  server.close(); // for the parent only
  const end = () => {
    for (const pid of children) process.kill(pid, 'SIGTERM');
  };
  process.once('SIGTERM', end).once('SIGINT', end);
  await Promise.all(Array.from(children, (pid) => waitpidAsync(pid).then(() => children.delete(pid))));
  console.log(`${requests.value} requests were answered`);
}
