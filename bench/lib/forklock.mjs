// The package by its name, as users import it; in a checkout where nothing has linked it here, the build above us.
import { existsSync } from 'node:fs';

const built = new URL('../../dist/index.js', import.meta.url);

export const entry = (() => {
  try {
    return import.meta.resolve('forklock');
  } catch {
    return built.href;
  }
})();

if (!existsSync(new URL(entry))) {
  console.error('forklock is not built: run "npm run build" in the folder above');
  process.exit(1);
}

export const forklock = await import(entry);
