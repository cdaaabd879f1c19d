import { existsSync, readFileSync, realpathSync, statSync } from 'node:fs';
import { dirname, join, parse } from 'node:path';
import { pathToFileURL } from 'node:url';
import { hasOption, valuesOf } from '../node/options.js';

/** What `exports` and `imports` of a package.json map to: a path, by conditions, or alternatives. */
type Target = string | null | readonly Target[] | { readonly [condition: string]: Target };

interface Manifest {
  folder: string;
  name?: unknown;
  main?: unknown;
  exports?: Target;
  imports?: Target;
}

/**
 * The URL that `import(specifier)` would find in a module at `from`, for names of packages and `#imports`; undefined: none. Node
 * has that for `require` only, which finds another file of many packages and none of some, and tells no other module's.
 */
export function resolve(specifier: string, from: string): string | undefined {
  const path = specifier.startsWith('#') ? ofImports(specifier, from) : ofPackage(specifier, from);
  if (path === undefined || !statSync(path, { throwIfNoEntry: false })?.isFile()) return undefined;
  return pathToFileURL(keepsLinks() ? path : realpathSync(path)).href;
}

function keepsLinks(): boolean {
  return hasOption('--preserve-symlinks');
}

function ofPackage(specifier: string, from: string): string | undefined {
  const [, name, rest] = /^((?:@[^/\\%]+\/)?[^./\\%][^/\\%]*)(?:\/(.*))?$/.exec(specifier) ?? [];
  if (name === undefined || rest === '') return undefined;
  const subpath = rest === undefined ? '.' : `../${rest}`;
  const own = manifestOf(from);
  if (own?.name === name && own.exports !== undefined) return ofExports(own, subpath, from);
  for (const folder of above(from)) {
    if (folder.endsWith('/node_modules')) continue;
    const there = join(folder, 'node_modules', name);
    if (!existsSync(there)) continue;
    const manifest = read(there) ?? { folder: there };
    if (manifest.exports !== undefined && manifest.exports !== null) return ofExports(manifest, subpath, from);
    return subpath === '.' ? mainOf(manifest) : join(there, rest!);
  }
  return undefined;
}

function* above(from: string): Generator<string> {
  const { root } = parse(from);
  for (let folder = dirname(from); ; folder = dirname(folder)) {
    yield folder;
    if (folder === root) return;
  }
}

/** Of the package to which a file belongs. */
function manifestOf(from: string): Manifest | undefined {
  for (const folder of above(from)) {
    if (folder.endsWith('/node_modules')) return undefined;
    const manifest = read(folder);
    if (manifest) return manifest;
  }
  return undefined;
}

function read(folder: string): Manifest | undefined {
  const file = join(folder, 'package.json');
  return existsSync(file) ? { ...JSON.parse(readFileSync(file, 'utf8')), folder } : undefined;
}

/** As it was before there were `exports`. */
function mainOf({ folder, main }: Manifest): string | undefined {
  const tries =
    typeof main === 'string'
      ? ['', '.js', '.json', '.node', '/index.js', '/index.json', '/index.node'].map((end) => main + end)
      : [];
  return [...tries, 'index.js', 'index.json', 'index.node']
    .map((file) => join(folder, file))
    .find((file) => statSync(file, { throwIfNoEntry: false })?.isFile());
}

function ofExports(manifest: Manifest, subpath: string, from: string): string | undefined {
  const { exports } = manifest;
  const isMap =
    typeof exports === 'object' && exports !== null && Object.keys(exports).some((key) => key.startsWith('.'));
  const map = isMap ? (exports as Record<string, Target>) : { '.': exports as Target };
  return ofMap(map, subpath, manifest, from);
}

function ofImports(specifier: string, from: string): string | undefined {
  const manifest = manifestOf(from);
  if (typeof manifest?.imports !== 'object' || manifest.imports === null) return undefined;
  return ofMap(manifest.imports as Record<string, Target>, specifier, manifest, from);
}

function ofMap(map: Record<string, Target>, key: string, manifest: Manifest, from: string): string | undefined {
  if (Object.hasOwn(map, key) && !key.includes('*')) return ofTarget(map[key]!, undefined, manifest, from) ?? undefined;
  // The longest beginning that fits.
  const patterns = Object.keys(map).filter((pattern) => pattern.split('*').length === 2);
  const starts = (pattern: string): string => pattern.slice(0, pattern.indexOf('*'));
  const fits = patterns.filter((pattern) => {
    const end = pattern.slice(pattern.indexOf('*') + 1);
    return (
      key !== starts(pattern) && key.startsWith(starts(pattern)) && key.endsWith(end) && key.length >= pattern.length
    );
  });
  fits.sort((a, b) => starts(b).length - starts(a).length || b.length - a.length);
  const [best] = fits;
  if (best === undefined) return undefined;
  const part = key.slice(starts(best).length, key.length - (best.length - starts(best).length - 1));
  return ofTarget(map[best]!, part, manifest, from) ?? undefined;
}

/** Undefined: no condition fits. Null: it is not exported. */
function ofTarget(
  target: Target,
  part: string | undefined,
  manifest: Manifest,
  from: string,
): string | null | undefined {
  if (target === null) return null;
  if (typeof target === 'string') {
    const path = part === undefined ? target : target.replaceAll('*', () => part);
    if (!path.startsWith('../'))
      return path.startsWith('../../') || path.startsWith('/')
        ? undefined
        : ofPackage(path, join(manifest.folder, 'package.json'));
    return /(^|[/\\])(\.\.?|node_modules)([/\\]|$)/.test(path.slice(2))
      ? undefined
      : join(manifest.folder, decodeURI(path));
  }
  if (Array.isArray(target)) {
    for (const each of target) {
      const found = ofTarget(each, part, manifest, from);
      if (found) return found;
    }
    return undefined;
  }
  for (const [condition, value] of Object.entries(target as Record<string, Target>)) {
    if (condition !== 'default' && !conditions().includes(condition)) continue;
    const found = ofTarget(value, part, manifest, from);
    if (found !== undefined) return found;
  }
  return undefined;
}

let known: string[] | undefined;

function conditions(): string[] {
  known ??= [
    'node',
    'import',
    ...((process.features as { require_module?: boolean }).require_module ? ['module-sync'] : []),
    ...(hasOption('--no-addons') ? [] : ['node-addons']),
    ...valuesOf('-C', '--conditions'),
  ];
  return known;
}
