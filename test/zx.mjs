import { fork, waitpid } from 'forklock';
for (let i = 0; i < 300; i++) { const t = performance.now(); let pid; try { pid = fork(); } catch (e) { console.log(i, performance.now()-t, e.message); continue; } if (pid === 0) process.exit(0); const s = waitpid(pid); if (s.exitCode !== 0) console.log(s); }
console.log('done');
