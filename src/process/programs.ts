import { beSpawned } from './bootstrap.js';
import { beServer } from './forkserver-main.js';
import { AS_PROCESS, AS_SERVER, beProgram } from './program.js';

beProgram(import.meta.url, { [AS_PROCESS]: beSpawned, [AS_SERVER]: beServer });
