// Node takes about half a millisecond to find and link each module of a package. What tsc has compiled goes into few
// files, so that importing it costs a few milliseconds: what the package exports, the program of its processes, what both
// have in common, and the modules that they load by name. dist/*.d.ts and the modules stay beside them, one for one.
export default {
  input: {
    forklock: 'dist/index.js',
    program: 'dist/process/boot/main.js',
    warm: 'dist/process/boot/server/warm.js',
    'warm-spare': 'dist/process/boot/server/warm-spare.js',
    'warm-fork': 'dist/process/fork/warm-fork.js',
  },
  platform: 'node',
  external: ['forklock'], // itself, in the modules that are loaded as a user's
  output: {
    dir: 'dist',
    paths: { forklock: './forklock.js' },
    format: 'esm',
    sourcemap: true,
    entryFileNames: ({ name }) => (name === 'forklock' ? 'forklock.js' : `${name}.mjs`),
    chunkFileNames: 'shared.mjs',
  },
};
