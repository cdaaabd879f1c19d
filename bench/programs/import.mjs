// Prints how many milliseconds the import of argv[2] took. It loads nothing else, not even the library of this folder:
// a module that both had loaded already would be missing from the difference.
const start = performance.now();
await import(process.argv[2]);
console.log(JSON.stringify({ took: performance.now() - start }));
