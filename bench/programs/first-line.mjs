// The program of a child_process: says when its first line ran, by descriptor 3 as nothing else would keep it alive.
const first = process.hrtime.bigint();
process.getBuiltinModule('node:fs').writeSync(Number(process.argv[2]), String(first));
