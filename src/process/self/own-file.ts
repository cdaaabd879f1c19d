import { fileOfScript } from '../../home.js';

let known: { file: string | undefined } | undefined;

/** Which copy this is: that in a bundle is another one than that of our program. */
export function ownFile(): string | undefined {
  known ??= { file: fileOfScript() };
  return known.file;
}
