import { getContext, currentProcess, parentProcess, activeChildren } from 'forklock';
export function work(a, b) { console.log('child', process.pid, process.ppid, a, b, String(currentProcess()), String(parentProcess()), process.argv.slice(1)); return 5; }
export function quiet() {}
if (parentProcess() === null) {
  for (const m of process.argv.slice(2)) {
  const {Process} = getContext(m);
  for (let i = 0; i < 3; i++) {
  let t = performance.now();
  const p = new Process({ target: work, args: [1, {a: 2}] });
  p.start(); 
  console.log(m, performance.now()-t);
  console.log(p.join(5000), p.exitCode, String(p), performance.now()-t);
  }
  const times = [], st=[];
  for (let i = 0; i < 200; i++) { const t = performance.now(); const p = new Process({target: quiet}); p.start(); st.push(performance.now()-t); p.join(); times.push(performance.now()-t); }
  times.sort((a,b)=>a-b); st.sort((a,b)=>a-b); console.log(m, 'start+join median', times[100], 'p99', times[197], 'start', st[100]);
  }
}
