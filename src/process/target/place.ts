/** A value that a module exports. */
export interface Place {
  /** What `import()` takes. */
  module: string;
  name: string;
}
