/** `rehearsing`: it is not called in a child, and does nothing; see rehearse.ts. */
type Callback = (rehearsing: boolean) => void;

/** What modules do in the child of a fork, before anything else runs there, to forget what was the parent's. */
const callbacks: Callback[] = [];

/** In the order of registration: a module that builds on another one comes after it. */
export function afterForkInChild(callback: Callback): void {
  callbacks.push(callback);
}

/** How many forks lie between this process and its first ancestor: what was begun at another number, the parent holds. */
export let generation = 0;

export function runAfterFork(rehearsing: boolean): void {
  if (!rehearsing) generation++;
  for (const callback of callbacks) callback(rehearsing);
}
