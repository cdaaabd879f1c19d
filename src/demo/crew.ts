import { type ChildProcess, fork } from 'node:child_process';
import { Worker } from 'node:worker_threads';
import type { Assignment, Report } from './messages.js';

export interface Teller {
  name: string;
  pid: number;
  reports: Report[];
  /** Resolves when the process or thread has ended and all its reports are in; rejects if it failed. */
  ended: Promise<void>;
}

const program = new URL('./teller.js', import.meta.url);

// Whatever goes wrong here, no process stays behind. Threads end with this process anyway.
const running = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

export function startProcess(assignment: Assignment): Teller {
  // Structured clone instead of JSON, for the times are bigints.
  const child = fork(program, [JSON.stringify(assignment)], { serialization: 'advanced' });
  running.add(child);
  const name = `process ${child.pid}`;
  const reports: Report[] = [];
  child.on('message', (report) => reports.push(report as Report));
  const ended = new Promise<void>((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', () => running.delete(child));
    // 'close' comes after 'exit', when the last report has arrived too.
    child.once('close', (code, signal) => {
      if (code === 0 || (signal === 'SIGKILL' && assignment.task === 'die-half-done')) resolve();
      else reject(new Error(`${name} failed: ${signal ?? `exit code ${code}`}`));
    });
  });
  return { name, pid: child.pid ?? 0, reports, ended };
}

export function startWorker(assignment: Assignment): Teller {
  const worker = new Worker(program, { argv: [JSON.stringify(assignment)] });
  const name = `worker ${worker.threadId}`;
  const reports: Report[] = [];
  worker.on('message', (report: Report) => reports.push(report));
  const ended = new Promise<void>((resolve, reject) => {
    worker.once('error', reject);
    worker.once('exit', (code) => (code === 0 ? resolve() : reject(new Error(`${name} failed: exit code ${code}`))));
  });
  return { name, pid: process.pid, reports, ended };
}
