import type { Runtime } from 'node:inspector';

/** The module in which a function was written. */
export interface Located {
  url: string;
  isModule: boolean;
  /** The variables at the top of the module that hold this very function. */
  variables: string[];
  source(): string;
}

interface Script {
  url: string;
  isModule?: boolean | undefined;
}

/** Where the inspector can reach a value of ours. It is there during a call of `locate` only. */
const SHELF = 'forklock.located';

/**
 * Finds out in which module a function was written, by an inspector session of this thread with itself: nothing else
 * knows. A string: why not. It takes a session of the inspector, so results are kept.
 */
export function locate(value: object): Located | string {
  const inspector = process.getBuiltinModule('node:inspector');
  if (!inspector?.Session) return 'this Node has no inspector, which could say where it was written';
  const session = new inspector.Session();
  session.connect();
  Object.defineProperty(globalThis, Symbol.for(SHELF), { value, configurable: true });
  try {
    return ask(session);
  } finally {
    Reflect.deleteProperty(globalThis, Symbol.for(SHELF));
    session.disconnect();
  }
}

function ask(session: import('node:inspector').Session): Located | string {
  // Calls of a session with its own thread are answered before post() returns.
  const call = <T>(method: string, params: object = {}): T => {
    let answer: T | undefined;
    let failed: Error | null = null;
    session.post(method, params, (error, result) => {
      failed = error;
      answer = result as T;
    });
    if (failed) throw failed;
    return answer as T;
  };
  const properties = (objectId: string) =>
    call<Runtime.GetPropertiesReturnType>('Runtime.getProperties', { objectId, ownProperties: true });

  const expression = `globalThis[Symbol.for('${SHELF}')]`;
  const { objectId } = call<Runtime.EvaluateReturnType>('Runtime.evaluate', { expression }).result;
  const internal = new Map(properties(objectId!).internalProperties?.map(({ name, value }) => [name, value]));
  if (internal.has('[[TargetFunction]]')) return 'it is a bound function';
  const at = internal.get('[[FunctionLocation]]')?.value as { scriptId: string } | undefined;
  if (!at) return 'it is not written in JavaScript';

  const scripts = new Map<string, Script>();
  session.on('Debugger.scriptParsed', ({ params }) => scripts.set(params.scriptId, params));
  call('Debugger.enable');
  const script = scripts.get(at.scriptId);
  const { scriptSource } = call<{ scriptSource: string }>('Debugger.getScriptSource', { scriptId: at.scriptId });
  call('Debugger.disable');
  if (!script?.url) return 'it was not written in a file';

  const variables: string[] = [];
  const scopes = properties(internal.get('[[Scopes]]')!.objectId!).result.map(({ value }) => value);
  const top = scopes.find((scope) => scope?.description?.startsWith('Module'));
  if (script.isModule && top) {
    const functions = properties(top.objectId!).result.filter(({ value }) => value?.type === 'function');
    const same = call<Runtime.CallFunctionOnReturnType>('Runtime.callFunctionOn', {
      objectId,
      functionDeclaration: 'function (...others) { return others.map((other) => other === this) }',
      arguments: functions.map(({ value }) => ({ objectId: value!.objectId })),
      returnByValue: true,
    }).result.value as boolean[];
    variables.push(...functions.filter((_, i) => same[i]).map(({ name }) => name));
  }
  return { url: script.url, isModule: script.isModule === true, variables, source: () => scriptSource };
}
