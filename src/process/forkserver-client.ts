import { ForkUnsafeError } from '../errors.js';
import type { Child } from './child.js';
import type { Header, Message } from './message.js';

export function serveChild(_message: Message, _header: Header): Child {
  throw new ForkUnsafeError('there is no fork server yet');
}

export function setForkserverPreload(_modules: readonly (string | URL)[]): void {}
