import { Process, revive } from '../../process.js';
import { setCurrent } from '../../self/current.js';
import { ownFile } from '../../self/own-file.js';
import { isProgram } from '../../self/program.js';
import { type Body, type Header, type Opening, opening } from '../../start/message.js';
import type { Target } from '../../target/target.js';

/** What makes a process of a message, by the classes of one copy of this package. */
export interface Copy {
  opening: Opening;
  become(header: Header, Class: typeof Process | undefined, target: Target | undefined, body: Body): Process;
}

const own: Copy = {
  opening,
  become(header, Class = Process, target, body) {
    const instance = revive(Class, header, target, body);
    setCurrent(instance);
    return instance;
  },
};

/** On the process, which all copies have in common. */
const KEY = Symbol.for('forklock.copies');

/** A bundle has been imported, in a process of forklock, for a function in it. */
export function offerCopy(): void {
  const file = isProgram() ? ownFile() : undefined;
  if (file === undefined) return;
  const copies: Map<string, Copy> = Reflect.get(process, KEY) ?? new Map();
  copies.set(file, own);
  Reflect.set(process, KEY, copies);
}

/** The copy that the parent used, if it has been imported here; else our program's. What they have in common is one version. */
export function copyIn(file: string | undefined): Copy {
  const copies: Map<string, Copy> | undefined = Reflect.get(process, KEY);
  return (file !== undefined && file !== ownFile() && copies?.get(file)) || own;
}
