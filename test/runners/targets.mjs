// What a Process runs that a test has started.
export function add(sum, a, b) {
  sum.value = a + b;
}
