/** What modules do in the child of a fork, before anything else runs there, to forget what was the parent's. */
const callbacks: (() => void)[] = [];

/** In the order of registration: a module that builds on another one comes after it. */
export function afterForkInChild(callback: () => void): void {
  callbacks.push(callback);
}

export function runAfterFork(): void {
  for (const callback of callbacks) callback();
}
