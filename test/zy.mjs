import { getContext, parentProcess, getStartMethod } from 'forklock';
import fs from 'node:fs';
export function quiet() {}
if (parentProcess() === null) {
  const {Process} = getContext('forkserver');
  let server;
  process.on('warning', (w) => {});
  for (let i = 0; i < 2000; i++) { const t = performance.now(); const p = new Process({target: quiet}); p.start(); if (getStartMethod() === 'spawn') { console.log('gave up at', i, performance.now()-t);
     for (const t of fs.readdirSync(`/proc/${server}/task`)) console.log(t, fs.readFileSync(`/proc/${server}/task/${t}/syscall`,'utf8').trim(), fs.readFileSync(`/proc/${server}/task/${t}/stat`,'utf8').split(' ').slice(1,3).join(' '));
     p.join(); break; }
     server ??= Number(fs.readFileSync(`/proc/${p.pid}/stat`,'utf8').split(' ')[3]); p.join(); if (p.exitCode!==0) console.log('exit', p.exitCode) }
}
