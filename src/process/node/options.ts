/** NODE_OPTIONS as node reads it: double quotes keep spaces together, a backslash in them keeps what follows. */
export function split(options: string): string[] {
  const parts = options.match(/(?:[^ "]|"(?:\\.|[^"\\])*"?)+/gs) ?? [];
  return parts.map((part) =>
    part.replace(/"((?:\\.|[^"\\])*)"?/gs, (_, quoted: string) => quoted.replace(/\\(.)/gs, '$1')),
  );
}

export function join(options: readonly string[]): string {
  return options.map((option) => (/[ "]/.test(option) ? `"${option.replace(/["\\]/g, '\\$&')}"` : option)).join(' ');
}

/** Of this node, in the environment and as arguments. */
function given(): string[] {
  const execArgv: unknown = process.execArgv;
  return [...split(process.env.NODE_OPTIONS ?? ''), ...(Array.isArray(execArgv) ? execArgv.map(String) : [])];
}

/** Node takes `--a_b` for `--a-b`. */
function nameOf(option: string): string {
  return option.replaceAll('_', '-').replace(/^-+/, '--');
}

export function hasOption(option: string): boolean {
  return given().some((each) => nameOf(each) === option);
}

/** The values of an option that can be given many times. */
export function valuesOf(...names: string[]): string[] {
  const all = given();
  return all.flatMap((argument, i) => {
    const [name, ...value] = argument.split('=');
    if (!names.includes(name!)) return [];
    return value.length > 0 ? [value.join('=')] : all.slice(i + 1, i + 2);
  });
}
