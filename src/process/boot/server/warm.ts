// The target of the trial run of the fork server: a small module in a file, as those of its processes. As most of them it
// imports the package as a whole, which the program of the server is not.
import 'node:fs';
import 'forklock';

export function close(...objects: { close(): void }[]): void {
  for (const object of objects) object.close();
}
