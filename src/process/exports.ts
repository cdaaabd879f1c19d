import { pathToFileURL } from 'node:url';
import type { Located } from './locate.js';
import type { Place } from './target.js';

/** Under which name a module exports a value that was written in it. A string: why it does not. */
export function exportsOf(value: object & { name: string }, located: Located): Place | string {
  const { url, isModule } = located;
  if (url.startsWith('node:')) return `it belongs to Node: its module can be named as ['${url}', '${value.name}']`;
  return isModule ? exportOfModule(located) : (exportOfCommonJS(value) ?? notThere(url));
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
    for (const [name, { value: property }] of Object.entries(Object.getOwnPropertyDescriptors(exported))) {
      if (property === value) return { module: pathToFileURL(path).href, name };
    }
  }
  return undefined;
}

/**
 * What an ES module exports, nobody can see while it runs for the first time: it cannot be imported then. That the
 * value is in a variable at its top is certain; under which name that is exported, the source says, and whether that
 * is so, the new process finds out.
 */
function exportOfModule({ url, variables, source }: Located): Place | string {
  for (const variable of variables) {
    const name = exportedName(source(), variable);
    if (name !== undefined) return { module: url, name };
  }
  return variables.length > 0 ? notThere(url) : `it is not at the top of its module, ${url}`;
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
