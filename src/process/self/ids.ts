import { availableParallelism } from 'node:os';
import { process } from '../../thread.js';

/** This process's id, as getpid(2) says. */
export function getpid(): number {
  return process.pid;
}

/** The id of the parent process, as getppid(2) says: it changes when the parent ends. */
export function getppid(): number {
  return process.ppid;
}

/** How many CPUs this process may use: affinity and container limits count where Node knows of them. */
export function cpuCount(): number {
  return availableParallelism();
}
