/** The environment as one text, which is less to send, and to compare, than an object: `NAME=value` and a NUL each. */
export function environment(): string {
  let text = '';
  for (const [name, value] of Object.entries(process.env)) text += `${name}=${value}\0`;
  return text;
}

/** `NAME=value` each. */
export function variablesOf(text: string): string[] {
  return text.split('\0').slice(0, -1);
}

/** What this process was given last. A fork server runs no code of anybody between its rehearsal and its children. */
let given: string | undefined;

export function setEnvironment(text: string): void {
  if (text === given) return;
  given = text;
  const env = new Map<string, string>();
  for (const variable of variablesOf(text)) {
    const at = variable.indexOf('=');
    env.set(variable.slice(0, at), variable.slice(at + 1));
  }
  for (const name of Object.keys(process.env)) if (!env.has(name)) delete process.env[name];
  for (const [name, value] of env) if (process.env[name] !== value) process.env[name] = value;
}
