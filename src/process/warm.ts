// What the fork server imports once, as its processes import their targets: a small module in a file.
import 'node:fs';

export function nothing(): void {}
