/** A line of code that a step of a model stands for. */
export interface Name {
  at: string;
  path: string;
  code: string;
}

/** What a comment before a step may say: the code that it stands for, or why there is none. */
const LINE_OF_CODE = /(?<path>(?:src|native)\/[\w./-]+): `(?<code>[^`]+)`/g;
const NO_CODE = /^\/\* (?:kernel|spec|mutant): /;

const squeeze = (text: string): string => text.replace(/\s+/g, ' ');

const withoutComments = (text: string): string => text.replace(/\/\*.*?\*\//g, '');

export function namesIn(file: string, text: string): Name[] {
  return text.split('\n').flatMap((line, i) =>
    [...line.matchAll(LINE_OF_CODE)].map(({ groups }) => ({
      at: `${file}:${i + 1}`,
      path: groups!.path!,
      code: groups!.code!,
    })),
  );
}

/** The names whose code is not in their file any more. `read` gives a file's text. */
export function gone(names: readonly Name[], read: (path: string) => string): string[] {
  return names.flatMap(({ at, path, code }) =>
    squeeze(read(path)).includes(squeeze(code)) ? [] : [`${at}: ${path} has no \`${code}\``],
  );
}

/** What a step can touch: the shared words and the kernel's, and every macro or inline that mentions one. */
export function touchables(texts: readonly string[]): Set<string> {
  const found = new Set<string>();
  const bodies = new Map<string, string>();
  for (const text of texts) {
    let shared = false;
    for (const line of text.split('\n')) {
      if (line.startsWith('/*')) shared = /^\/\* (?:shared|kernel's): /.test(line);
      const declared = /^(?:byte|bool) (\w+)/.exec(line);
      if (shared && declared) found.add(declared[1]!);
    }
    const code = withoutComments(text.replace(/\\\n/g, ' '));
    for (const [, name, body] of code.matchAll(/^#define (\w+)(?:\([^)]*\))?(.*)$/gm)) {
      bodies.set(name!, `${bodies.get(name!) ?? ''} ${body}`);
    }
    for (const [, name, body] of code.matchAll(/^inline (\w+)\([^)]*\) \{(.*?)\}$/gms)) bodies.set(name!, body!);
  }
  for (let before = -1; before < found.size; ) {
    before = found.size;
    for (const [name, body] of bodies) if (mentions(body, found)) found.add(name);
  }
  return found;
}

function mentions(code: string, names: ReadonlySet<string>): boolean {
  return (code.match(/\w+/g) ?? []).some((word) => names.has(word));
}

/** The lines of steps without a name. A name reaches to the end of the statement that follows it. */
export function unnamed(file: string, text: string, words: ReadonlySet<string>): string[] {
  const wrong: string[] = [];
  let named = false;
  let depth = 0;
  let continued = false;
  const comments = /\/\*(?:(?!\*\/).)*\n.*?\*\//gs;
  const lines = text.replace(comments, (comment) => comment.replace(/[^\n]/g, '')).split('\n');
  lines.forEach((line, i) => {
    const directive = continued || line.startsWith('#');
    continued = directive && line.endsWith('\\');
    const code = withoutComments(line).trim();
    if (depth === 0 && (line.match(LINE_OF_CODE) || NO_CODE.test(line.trim()))) named = true;
    if (directive || code === '' || /^(?:byte|bool) /.test(code)) return;
    const step = /\b(?:atomic|d_step)\b/.test(code) || mentions(code, words);
    if (step && !named) wrong.push(`${file}:${i + 1}: ${code}`);
    depth = Math.max(0, depth + (code.match(/\{/g) ?? []).length - (code.match(/\}/g) ?? []).length);
    if (named && depth === 0) named = false;
    if (!named) depth = 0; // the braces of a proctype are nobody's
  });
  return wrong;
}
