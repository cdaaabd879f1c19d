import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('../..', import.meta.url));

const npm = (cwd: string, ...args: string[]): string =>
  execFileSync('npm', [...args, '--ignore-scripts', '--offline', '--no-audit', '--no-fund', '--loglevel=error'], {
    cwd,
    encoding: 'utf8',
    env: { ...process.env, NODE_OPTIONS: '' },
  });

/** Paths in the tarball that `npm publish` would make of a folder. */
export function packedPaths(folder: string): string[] {
  const [{ files }] = JSON.parse(npm(folder, 'pack', '--dry-run', '--json')) as [{ files: { path: string }[] }];
  return files.map(({ path }) => path);
}

function pack(folder: string, into: string): string {
  const [{ filename }] = JSON.parse(npm(folder, 'pack', '--json', '--pack-destination', into)) as [
    { filename: string },
  ];
  return join(into, filename.replace(/^@/, '').replaceAll('/', '-'));
}

/**
 * Installs the package into an empty folder inside `scratch` as from a registry: its tarball, with the addon of build/ as the
 * prebuilt one, and its dependencies' tarballs. No script of theirs runs.
 */
export function install(scratch: string): string {
  const published = join(scratch, 'published');
  const prebuilds = join(published, 'prebuilds', `${process.platform}-${process.arch}`);
  mkdirSync(prebuilds, { recursive: true });
  for (const entry of readdirSync(root)) {
    if (/^(\.git|node_modules|build|prebuilds|bench)$/.test(entry)) continue;
    cpSync(join(root, entry), join(published, entry), { recursive: true });
  }
  cpSync(join(root, 'build/Release/forklock.node'), join(prebuilds, 'forklock.node'));
  const { dependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const folder = join(scratch, 'installed');
  mkdirSync(folder);
  writeFileSync(join(folder, 'package.json'), '{ "name": "app", "private": true }');
  const folders = [published, ...Object.keys(dependencies ?? {}).map((name) => join(root, 'node_modules', name))];
  npm(folder, 'install', ...folders.map((each) => pack(each, scratch)));
  return folder;
}

/** Puts a copy of the package into a folder, under a name: a dependency may bring one of its own. */
export function copyInto(folder: string, name = 'forklock'): void {
  const copy = join(folder, 'node_modules', name);
  mkdirSync(copy, { recursive: true });
  for (const part of ['package.json', 'dist', 'build/Release/forklock.node']) {
    cpSync(join(root, part), join(copy, part), { recursive: true });
  }
}

/** One of the packages of this checkout. */
export function link(folder: string, name: string): void {
  symlinkSync(join(root, 'node_modules', name), join(folder, 'node_modules', name));
}
