// What the processes of the topics `start` and `cycles` run.
export function stamp(view) {
  view.set(0, Number(process.hrtime.bigint()));
}

export function nothing() {}
