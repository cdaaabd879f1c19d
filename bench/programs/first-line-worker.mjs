// The same as first-line.mjs for a Worker, into shared memory.
const first = process.hrtime.bigint();
process.getBuiltinModule('node:worker_threads').workerData[0] = first;
