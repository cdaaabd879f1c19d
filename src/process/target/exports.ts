import { readFileSync } from 'node:fs';
import { fileURLToPath, pathToFileURL } from 'node:url';
import type { Located } from './locate.js';
import type { Place } from './place.js';

/** Under which name a module exports a value that was written in it. A string: why it does not. */
export function exportsOf(value: object & { name: string }, located: Located): Place | string {
  const { url, isModule } = located;
  if (url.startsWith('node:')) return `it belongs to Node: its module can be named as ['${url}', '${value.name}']`;
  if (isModule) return exportOfModule(located);
  return exportOfCommonJS(value) ?? exportOfFile(value, url) ?? notThere(url);
}

function notThere(url: string): string {
  return `no module exports it (it was written in ${url})`;
}

/** What CommonJS modules export by now, can be seen. */
function exportOfCommonJS(value: object): Place | undefined {
  for (const [path, module] of Object.entries(process.getBuiltinModule('node:module').createRequire('/').cache)) {
    const exported: unknown = module?.exports;
    if (exported === value) return { module: pathToFileURL(path).href, name: 'default' };
    if (typeof exported !== 'object' || exported === null) continue;
    // Compilers and bundlers export by getters, and say so.
    const isCompiled = Object.hasOwn(exported, '__esModule');
    for (const [name, { value: property, get }] of Object.entries(Object.getOwnPropertyDescriptors(exported))) {
      if (property === value || (isCompiled && get && got(exported, get) === value)) {
        return { module: pathToFileURL(path).href, name };
      }
    }
  }
  return undefined;
}

function got(exported: object, get: () => unknown): unknown {
  try {
    return get.call(exported);
  } catch {
    return undefined; // it is not there yet
  }
}

/**
 * What an ES module exports, nobody can see while it runs for the first time: it cannot be imported then. That the
 * value is in a variable at its top is certain; under which name that is exported, the source says, and whether that
 * is so, the new process finds out.
 */
function exportOfModule({ url, variables, compiled }: Located): Place | string {
  if (variables.length === 0) return `it is not at the top of its module, ${url}`;
  for (const source of [sourceOf, compiled]) {
    const text = source(url);
    for (const variable of text === undefined ? [] : variables) {
      const name = exportedName(text!, variable);
      if (name !== undefined) return { module: url, name };
    }
  }
  return notThere(url);
}

/**
 * A test runner's module: not Node's import has made it, but it stands in a file that Node can import. Only its text says what
 * it exports: under the function's own name, which nothing else there may have.
 */
function exportOfFile({ name }: { name: string }, url: string): Place | undefined {
  const source = sourceOf(url);
  if (source === undefined || !/^[\w$]+$/.test(name)) return undefined;
  const escaped = name.replace(/\$/g, '\\$&');
  const made = source.match(
    new RegExp(`(?<![\\w$.])(?:function\\s*\\*?\\s*|class\\s+|(?:const|let|var)\\s+)${escaped}(?![\\w$])`, 'g'),
  );
  if (made?.length !== 1) return undefined;
  const exported = exportedName(source, name) ?? commonName(source, escaped, name);
  return exported === undefined
    ? undefined
    : { module: /^file:/.test(url) ? url : pathToFileURL(url).href, name: exported };
}

/** By which name the source of a CommonJS module exports a variable. */
function commonName(source: string, escaped: string, name: string): string | undefined {
  if (new RegExp(`\\bmodule\\.exports\\s*=\\s*${escaped}\\s*(;|$)`, 'm').test(source)) return 'default';
  const [, as] = new RegExp(`\\bexports\\.([\\w$]+)\\s*=\\s*${escaped}\\s*(;|,|$)`, 'm').exec(source) ?? [];
  if (as !== undefined) return as;
  // As webpack and esbuild write it, of which webpack exports when all has run.
  const [, getter] =
    new RegExp(`([\\w$]+)["']?\\s*:\\s*\\(\\)\\s*=>\\s*\\(?(?:/\\*[^*]*\\*/\\s*)?${escaped}\\)?\\s*[,}]`).exec(
      source,
    ) ?? [];
  if (getter !== undefined) return getter;
  const [, list] = /\bmodule\.exports\s*=\s*\{([^{}]*)\}/.exec(source) ?? [];
  for (const item of list?.split(',') ?? []) {
    const [, key, variable = key] = /^\s*([\w$]+)\s*(?::\s*([\w$]+)\s*)?$/.exec(item) ?? [];
    if (variable === name) return key;
  }
  return undefined;
}

function sourceOf(url: string): string | undefined {
  try {
    if (url.startsWith('data:')) return new TextDecoder().decode(dataOf(url));
    return readFileSync(url.startsWith('/') ? url : fileURLToPath(url), 'utf8');
  } catch {
    return undefined;
  }
}

function dataOf(url: string): Uint8Array {
  const [, base64, data] = /^data:[^,]*?(;base64)?,(.*)$/s.exec(url)!;
  return Buffer.from(decodeURIComponent(data!), base64 ? 'base64' : 'utf8');
}

function exportedName(source: string, variable: string): string | undefined {
  if (variable === '*default*') return 'default';
  const local = variable.replace(/\$/g, '\\$&');
  const has = (pattern: string): boolean => new RegExp(pattern).test(source);
  const end = '(?![\\w$])';
  if (has(`\\bexport\\s+(?:(?:async\\s+)?function\\s*\\*?|class)\\s+${local}${end}`)) return variable;
  if (has(`\\bexport\\s+default\\s+(?:(?:(?:async\\s+)?function\\s*\\*?|class)\\s+)?${local}${end}`)) return 'default';
  for (const [, list] of source.matchAll(/\bexport\s*\{([^}]*)\}/g)) {
    for (const item of list!.split(',')) {
      const [, name, alias] = /^(\S+)(?:\s+as\s+(.+))?$/s.exec(item.trim()) ?? [];
      if (name === variable) return alias?.replace(/^(['"])(.*)\1$/s, '$2') ?? variable;
    }
  }
  if (has(`\\bexport\\s+(?:const|let|var)\\s[^;]*?(?<![\\w$.])${local}${end}`)) return variable;
  return undefined;
}
