import { beSpawned } from './bootstrap.js';
import { AS_PROCESS, beProgram } from './program.js';

beProgram(import.meta.url, { [AS_PROCESS]: beSpawned });
