// A test file, of which each runner has two.
import { cases } from './cases.mjs';

// The runner's own, where it gives one to each file. That of node:test has to be imported.
const test = globalThis.test ?? globalThis.it ?? (await import('node:test')).test;

for (const [name, body] of Object.entries(cases)) test(name, body);
