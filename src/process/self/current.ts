import { type Self, self } from './self.js';

/** This process as the object that its program sees, and what the process was when that was made. */
let made: { of: Self; object: object } | undefined;

/** Undefined: it is made when somebody asks for it. */
export function setCurrent(object: object | undefined): void {
  made = object && { of: self(), object };
}

/** Undefined also when another copy of the package has made another process of this one since. */
export function current(): object | undefined {
  return made?.of === self() ? made.object : undefined;
}
