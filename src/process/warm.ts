// The target with which the fork server rehearses: a small module in a file, as those of its processes.
import 'node:fs';

export function close(...objects: { close(): void }[]): void {
  for (const object of objects) object.close();
}
