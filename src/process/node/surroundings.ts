import { closeSync, openSync } from 'node:fs';
import { checked } from '../../errors.js';
import { native } from '../../native.js';

/** Standard output and standard error. */
const OUTPUTS = [1, 2];

/** What a process has of its parent by descriptors: where it prints, and where it is. For the time of a start. */
export class Surroundings {
  readonly #directory: number;
  /** In the place of an output that this process has closed. */
  #devNull: number | undefined;

  constructor() {
    this.#directory = checked(native().openWorkingDirectory(), 'opening the working directory');
    try {
      if (OUTPUTS.some((fd) => !native().isOpen(fd))) this.#devNull = openDevNull();
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** In the order in which `readLaunch` takes them. */
  get descriptors(): number[] {
    return [...OUTPUTS.map((fd) => (native().isOpen(fd) ? fd : this.#devNull!)), this.#directory];
  }

  close(): void {
    native().closeDescriptor(this.#directory);
    if (this.#devNull !== undefined) native().closeDescriptor(this.#devNull);
  }
}

/** Not under a number that means an output. */
function openDevNull(): number {
  const fd = openSync('/dev/null', 'r+');
  try {
    return checked(native().duplicate(fd), 'opening /dev/null');
  } finally {
    closeSync(fd);
  }
}
