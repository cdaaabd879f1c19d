// What the tests of Process run in processes: functions and classes that a module exports.
import { openSync, readFileSync, readlinkSync, writeSync } from 'node:fs';
import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import * as forklock from 'forklock';

const { activeChildren, currentProcess, getContext, getStartMethod, parentProcess, Process } = forklock;

export const print = (value) => writeSync(1, `${JSON.stringify(value)}\n`);

export function nothing() {}

export default function byDefault() {
  print('default');
}

function inner() {
  print('renamed');
}

export { inner as 'an alias' };

export const arrow = async (...args) => print(['arrow', ...args]);

export const notAFunction = 5;

export function tell(...args) {
  print(args);
}

export function facts() {
  const parent = parentProcess();
  print({
    pid: process.pid,
    ppid: process.ppid,
    parent: [parent.pid, parent.name, parent.isAlive()],
    name: currentProcess().name,
    daemon: currentProcess().daemon,
    key: currentProcess().authkey.toString('hex'),
    shown: String(currentProcess()),
    argv: process.argv.slice(2),
    argv0: process.argv[0] === process.execPath,
    main: process.argv[1] === new URL(import.meta.url).pathname,
    execArgv: process.execArgv,
    env: { ...process.env },
    cwd: process.cwd(),
    umask: process.umask(),
    stdin: readlinkSync('/proc/self/fd/0'),
    children: activeChildren().length,
    exitCode: currentProcess().exitCode,
    method: getStartMethod(),
  });
}

/** Open files beside those that every node has. */
export function descriptors() {
  const names = [];
  for (let fd = 3; fd < 64; fd++) {
    try {
      names.push(readlinkSync(`/proc/self/fd/${fd}`));
    } catch {}
  }
  print(names);
}

/** Counts itself, and ends with 3. */
export function noteRun(runs, runner, event) {
  runs.add(1);
  runner.value = process.pid;
  event.wait();
  process.exitCode = 3;
}

export function exit(code) {
  process.exit(code);
}

export function exitCode(code) {
  process.exitCode = code;
}

export function exitByHandler(code) {
  process.on('exit', () => {
    process.exitCode = code;
  });
}

export async function endless() {
  await new Promise(() => {});
}

export function busy(event) {
  event.set();
  for (;;);
}

/** Sets the event, then stays until it is killed. */
export async function stay(event) {
  event?.set();
  await sleep(1e6);
}

export async function stayDespiteTerm(event) {
  process.on('SIGTERM', () => {});
  await stay(event);
}

export async function sayTerm(event, said) {
  process.on('SIGTERM', () => {
    said.set();
    process.exit(0);
  });
  await stay(event);
}

export function waitFor(event, code = 0) {
  if (!event.wait(15_000)) throw new Error('the event never came');
  process.exitCode = code;
}

export function throws(message = 'on purpose') {
  throw new TypeError(message, { cause: new Error('its cause') });
}

export async function rejects() {
  await null;
  throw new Error('rejected on purpose');
}

export function throwsString() {
  throw 'a string';
}

export function throwsLater() {
  setTimeout(() => {
    throw new Error('later, on purpose');
  }, 1);
}

export function rejectsLater() {
  setTimeout(() => Promise.reject(new Error('unhandled, on purpose')), 1);
}

export function throwsAndTidies(event) {
  process.on('exit', () => event.set());
  throw new Error('and tidies up');
}

export function leavesServer(event) {
  createServer().listen(0, () => {
    event.set();
    setTimeout(() => process.exit(9), 20);
  });
}

export function kill(signal) {
  process.kill(process.pid, signal);
  for (;;);
}

export function add(value, times, lock) {
  for (let i = 0; i < times; i++) {
    if (lock) lock.with(() => value.update((n) => n + 1));
    else value.add(1);
  }
}

export function nested({ list: [{ lock, value }], map }, kwargs) {
  lock.with(() => {
    value.value = map.get('n') + kwargs.n.value;
  });
}

export function holds(lock, event) {
  lock.acquire();
  event.set();
  for (;;);
}

/** Starts a process itself, and ends as that does. */
export function starts(method, name, ...args) {
  const child = new (getContext(method).Process)({ target: [import.meta.url, name], args });
  child.start();
  child.join();
  process.exitCode = child.exitCode;
}

/** Leaves a child behind, that prints where it is and then waits for the event. */
export function leaves(method, options, name, ...args) {
  const child = new (getContext(method).Process)({ target: [import.meta.url, name], args, ...options });
  child.start();
  print(child.pid);
}

export function parentEnds(ready, done) {
  const parent = parentProcess();
  ready.set();
  const ended = parent.join(15_000);
  if (ended && !parent.isAlive()) done.set();
}

export async function parentEndsAsync(ready, done) {
  const parent = parentProcess();
  const waits = parent.joinAsync();
  if (await parent.joinAsync({ timeout: 1 })) return;
  ready.set();
  if ((await waits) && !parent.isAlive()) done.set();
}

export function raises() {
  for (const attempt of [
    () => currentProcess().join(),
    () => currentProcess().start(),
    () => currentProcess().close(),
    () => currentProcess().sentinel,
    () => new Process({ target: [import.meta.url, 'nothing'] }).start(),
  ]) {
    try {
      attempt();
      print('nothing thrown');
    } catch (error) {
      print([error.name, error.code]);
    }
  }
}

export class Greeter extends Process {
  greeting = 'hello';
  constructor(event) {
    super({ name: 'greeter' });
    this.event = event;
    this.made = process.pid;
  }

  run() {
    this.event.set();
    print([this.greeting, this.name, this.made === process.pid, this instanceof Greeter, currentProcess() === this]);
  }
}

export class Failing extends getContext('spawn').Process {
  run() {
    throw new Error(`${this.name} fails`);
  }
}

export function output(path) {
  const fd = openSync(path, 'r');
  print(readFileSync(fd, 'utf8'));
  console.log('"by console"');
  console.error('to stderr');
}

export function usesTypes() {
  const e = new forklock.Event();
  setImmediate(() => e.set());
  return e.waitAsync();
}

/** Tells its pid, then as `stay`. */
export async function stayAs(pid, ready) {
  pid.value = process.pid;
  await stay(ready);
}

export function busyAs(pid, ready) {
  pid.value = process.pid;
  busy(ready);
}

export async function stayDespiteTermAs(pid, ready) {
  pid.value = process.pid;
  await stayDespiteTerm(ready);
}

/** Says who it and its parent are, and answers when it is asked. */
export function answersAs(pid, ready, ppid, asked, answered) {
  [pid.value, ppid.value] = [process.pid, process.ppid];
  ready.set();
  if (asked.wait(15_000)) answered.set();
}

export async function answersAndStaysAs(...args) {
  answersAs(...args);
  await stay();
}

/** A parent that ends in some way, and leaves a child. */
export async function leavesDaemon(method, target, pid, ready, death, daemon = true, ...args) {
  const { Process } = getContext(method);
  const child = new Process({ target: [import.meta.url, target], args: [pid, ready, ...args], daemon });
  child.start();
  await ready.waitAsync();
  if (death === 'SIGKILL' || death === 'SIGSTOP') await sleep(1e6);
  if (death === 'exit') process.exit(3);
  if (death === 'throw') throw new Error('the parent ends');
  if (death === 'abort') process.kill(process.pid, 'SIGABRT');
  if (death === 'uncaught') setImmediate(() => throws());
}

export function startsDaemonAndDies(method, pid) {
  const child = new (getContext(method).Process)({ target: [import.meta.url, 'stay'], daemon: true });
  child.start();
  pid.value = child.pid;
  process.kill(process.pid, 'SIGKILL');
}

export function readAll(value, array, memory, done) {
  print([value.value, array.get(99_999), new Uint8Array(memory.buffer)[5]]);
  done.set();
}

export function firsts(arrays) {
  print(arrays.map((array) => array.get(0)));
}

export function sum(bytes, text) {
  print(bytes.reduce((a, b) => a + b, 0) + text.length);
}

export function readyAndWait(ready, event) {
  ready.set();
  event.wait(15_000);
}
