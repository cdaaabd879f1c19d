/** A place in a queue. */
export interface Place<T> {
  readonly value: T;
  before: Place<T> | undefined;
  after: Place<T> | undefined;
}

/**
 * First in, first out; and to leave it from any place takes the same short time. (A Map in which the first ones have
 * been deleted looks at each of them again to find the first that is left.)
 */
export class Queue<T> {
  #first: Place<T> | undefined;
  #last: Place<T> | undefined;
  #length = 0;

  get first(): Place<T> | undefined {
    return this.#first;
  }

  get length(): number {
    return this.#length;
  }

  push(value: T): Place<T> {
    const place: Place<T> = { value, before: this.#last, after: undefined };
    if (this.#last) this.#last.after = place;
    else this.#first = place;
    this.#last = place;
    this.#length++;
    return place;
  }

  /** Once for each place. */
  remove({ before, after }: Place<T>): void {
    if (before) before.after = after;
    else this.#first = after;
    if (after) after.before = before;
    else this.#last = before;
    this.#length--;
  }

  clear(): void {
    this.#first = this.#last = undefined;
    this.#length = 0;
  }
}
