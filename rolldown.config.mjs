// Node takes about half a millisecond to find and link each module of a package. What tsc has compiled goes into one
// file, so that importing it costs a few milliseconds; dist/*.d.ts and the modules stay beside it, one for one.
export default {
  input: 'dist/index.js',
  platform: 'node',
  external: ['node-gyp-build'],
  output: { file: 'dist/forklock.js', format: 'esm', sourcemap: true },
};
