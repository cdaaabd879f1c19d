// The addon itself, for what it measures of its own work: the same copy that the package in this process has loaded.
import { createRequire } from 'node:module';
import { entry } from './forklock.mjs';

export const native = createRequire(entry)('../build/Release/forklock.node');
