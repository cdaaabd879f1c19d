// Starts and ends processes one after the other, and looks at what they leave in this process and in its fork server.
// First line: { way, warm, count } with a way of lib/starters.mjs. Answers a list of looks: after the warm-up, after
// `count` cycles and after as many again. A look has { memory, descriptors, maps, threads, zombies } of each process; `memory` is anonymous.
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as rest } from 'node:timers/promises';
import { hear, say } from '../lib/program.mjs';
import { starters } from '../lib/starters.mjs';

const { way, warm, count } = await hear();
const start = starters[way]();

const read = (pid, file) => readFileSync(`/proc/${pid}/${file}`, 'utf8');
const number = (text, name) => Number(new RegExp(`^${name}:\\s*(\\d+)`, 'm').exec(text)[1]);

function childrenOf(pid) {
  return readdirSync(`/proc/${pid}/task`).flatMap((task) =>
    read(pid, `task/${task}/children`).split(' ').filter(Boolean),
  );
}

function look(pid) {
  const status = read(pid, 'status');
  const children = childrenOf(pid);
  return {
    memory: number(status, 'RssAnon') * 1024,
    descriptors: readdirSync(`/proc/${pid}/fd`).length - (Number(pid) === process.pid ? 1 : 0), // the folder itself
    maps: read(pid, 'maps').split('\n').length - 1,
    threads: number(status, 'Threads'),
    zombies: children.filter((child) => / Z /.test(read(child, 'stat'))).length,
  };
}

/** Collects until ten collections in a row gave nothing back. */
async function settle() {
  for (let least = Number.POSITIVE_INFINITY, idle = 0, i = 0; idle < 10 && i < 50; i++) {
    globalThis.gc();
    await rest(20);
    const held = process.memoryUsage.rss();
    idle = held < least * 0.99 ? 0 : idle + 1;
    least = Math.min(least, held);
  }
}

/** The fork server is the one child that this process has between two cycles. */
async function lookAtAll() {
  await settle();
  const server = childrenOf(process.pid).find((pid) => read(pid, 'cmdline').includes('--forklock-server'));
  return { parent: look(process.pid), server: server ? look(server) : null };
}

async function cycle(times) {
  for (let i = 0; i < times; i++) await start();
}

const looks = [];
for (const times of [warm, count, count]) {
  await cycle(times);
  looks.push(await lookAtAll());
}
say(looks);
