import { hearOfExit, join, type Member, members } from './thread.js';

/** `dryRun`: it is not called in a child, and does nothing; see process/fork/precompile.ts. */
type Callback = (dryRun: boolean) => void;

/** What modules do in the child of a fork, before anything else runs there, to forget what was the parent's. */
const callbacks: Callback[] = [];
const inParent: (() => void)[] = [];
const atExit = new Set<() => void>();

/** In the order of registration: a module that builds on another one comes after it. */
export function afterForkInChild(callback: Callback): void {
  callbacks.push(callback);
}

export function afterForkInParent(callback: () => void): void {
  inParent.push(callback);
}

/** Once for each callback. */
export function onExit(callback: () => void): void {
  atExit.add(callback);
  hearOfExit();
}

/** How many forks lie between this process and its first ancestor: what was begun at another number, the parent holds. */
export let generation = 0;

/** This instance, to those of the thread: a fork by one is a fork for all of them. */
const member: Member = {
  afterForkInParent() {
    for (const callback of inParent) callback();
  },
  afterForkInChild() {
    generation++;
    for (const callback of callbacks) callback(false);
  },
  atExit() {
    for (const callback of atExit) callback();
  },
};
join(member);

/** In the child of a fork that this instance has made. */
export function runAfterFork(dryRun: boolean): void {
  if (dryRun) {
    for (const callback of callbacks) callback(true);
    return;
  }
  member.afterForkInChild();
  for (const other of members()) if (other !== member) other.afterForkInChild();
}

/** In the parent. */
export function runAfterForkInParent(): void {
  for (const each of members()) each.afterForkInParent();
}
