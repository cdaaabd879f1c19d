// An instance of the addon, for what that measures of its own work: of the same addon that the package has loaded.
import { createRequire } from 'node:module';
import { entry } from './forklock.mjs';

export const native = createRequire(entry)('../build/Release/forklock.node').createInstance();
