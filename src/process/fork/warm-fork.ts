// The module with which a parent warms up the import of a target, before it forks a child that imports one: see
// target/unfinished.ts. It has nothing in it, as it stays in a program that is not ours.
export function nothing(): void {}
