import type { Profiler, Runtime, Session } from 'node:inspector';
import { process } from '../../thread.js';

type Call = <T>(method: string, params?: object) => T;

/** The module in which a function was written. */
export interface Located {
  url: string;
  isModule: boolean;
  /** The variables at the top of the module that hold this very function. */
  variables: string[];
  /** Its text as V8 has it, which a loader may have made of another one. Coverage of blocks is lost by asking; see below. */
  compiled(): string;
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
  try {
    session.connect();
  } catch (error) {
    return `the inspector, which could say where it was written, cannot be asked (${(error as Error).message})`;
  }
  // On an object that all contexts of this thread share: a test runner may have given this code a global object of its own.
  const shelf = process.getBuiltinModule('node:os');
  Object.defineProperty(shelf, Symbol.for(SHELF), { value, configurable: true });
  try {
    return ask(session);
  } catch (error) {
    return `the inspector could not say where it was written (${(error as Error).message})`;
  } finally {
    Reflect.deleteProperty(shelf, Symbol.for(SHELF));
    session.disconnect();
  }
}

function caller(session: Session): Call {
  // Calls of a session with its own thread are answered before post() returns.
  return <T>(method: string, params: object = {}): T => {
    let answer: T | undefined;
    let failed: Error | null = null;
    session.post(method, params, (error, result) => {
      failed = error;
      answer = result as T;
    });
    if (failed) throw Object.assign(new Error(), failed);
    return answer as T;
  };
}

function ask(session: Session): Located | string {
  const call = caller(session);
  const properties = (objectId: string) =>
    call<Runtime.GetPropertiesReturnType>('Runtime.getProperties', { objectId, ownProperties: true });

  const expression = `process.getBuiltinModule('node:os')[Symbol.for('${SHELF}')]`;
  const { objectId } = call<Runtime.EvaluateReturnType>('Runtime.evaluate', { expression }).result;
  if (objectId === undefined) return 'it cannot be reached by the inspector, which could say where it was written';
  const internal = new Map(properties(objectId).internalProperties?.map(({ name, value }) => [name, value]));
  if (internal.has('[[TargetFunction]]')) return 'it is a bound function';
  const at = internal.get('[[FunctionLocation]]')?.value as { scriptId: string } | undefined;
  if (!at) return 'it is not written in JavaScript';

  const url = urlByCoverage(call, at.scriptId) ?? urlByDebugger(session, at.scriptId);
  if (!url) return 'it was not written in a file';

  const variables: string[] = [];
  const scopes = properties(internal.get('[[Scopes]]')!.objectId!).result.map(({ value }) => value);
  const top = scopes.find((scope) => scope?.description?.startsWith('Module'));
  if (top) {
    const functions = properties(top.objectId!).result.filter(({ value }) => value?.type === 'function');
    const same = call<Runtime.CallFunctionOnReturnType>('Runtime.callFunctionOn', {
      objectId,
      functionDeclaration: 'function (...others) { return others.map((other) => other === this) }',
      arguments: functions.map(({ value }) => ({ objectId: value!.objectId })),
      returnByValue: true,
    }).result.value as boolean[];
    variables.push(...functions.filter((_, i) => same[i]).map(({ name }) => name));
  }
  return { url, isModule: top !== undefined, variables, compiled: () => sourceOfScript(at.scriptId) };
}

/**
 * Asking the debugger takes from a program that measures its coverage what it has of blocks; this counts nothing and changes
 * nothing. A program that does measure it has all its scripts here. In others one is missing when none of its functions that
 * have run is left in memory.
 */
function urlByCoverage(call: Call, scriptId: string): string | undefined {
  const { result: scripts } = call<Profiler.GetBestEffortCoverageReturnType>('Profiler.getBestEffortCoverage');
  return scripts.find((script) => script.scriptId === scriptId)?.url;
}

function urlByDebugger(session: Session, scriptId: string): string | undefined {
  let url: string | undefined;
  session.on('Debugger.scriptParsed', ({ params }) => {
    if (params.scriptId === scriptId) url = params.url;
  });
  const call = caller(session);
  call('Debugger.enable');
  call('Debugger.disable');
  return url;
}

function sourceOfScript(scriptId: string): string {
  const { Session } = process.getBuiltinModule('node:inspector');
  const session = new Session();
  session.connect();
  try {
    const call = caller(session);
    call('Debugger.enable');
    return call<{ scriptSource: string }>('Debugger.getScriptSource', { scriptId }).scriptSource;
  } finally {
    session.disconnect();
  }
}
