// The target with which the fork server rehearses: a small module in a file, as those of its processes.
import 'node:fs';

export function close(object: { close(): void }): void {
  object.close();
}
