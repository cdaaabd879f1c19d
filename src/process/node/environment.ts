import { CONTEXT } from './test-runner.js';

/** The environment as one text: less to send, and to compare, than an object. What a test runner has told this process stays here. */
export function environment(): string {
  return JSON.stringify(process.env[CONTEXT] === undefined ? process.env : { ...process.env, [CONTEXT]: undefined });
}

/** By name. */
export function variablesOf(text: string): Record<string, string> {
  return JSON.parse(text);
}

/** Makes it that of this process. What the fork server was started with is that of most of its processes already. */
export function setEnvironment(text: string): void {
  if (text === environment()) return;
  const env = variablesOf(text);
  for (const name of Object.keys(process.env)) {
    if (!Object.hasOwn(env, name)) delete process.env[name];
  }
  for (const [name, value] of Object.entries(env)) {
    if (process.env[name] !== value) process.env[name] = value;
  }
}
