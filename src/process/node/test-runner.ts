const HARNESS = 'NativeModule internal/test_runner/harness';

/**
 * Options of a node in which node:test has no test to run, and reports that to nobody. A child that imports a file of tests,
 * for a target that stands in it, would run them too, and each of these would start the next child.
 */
const NO_TESTS = ['--test-name-pattern=(?!)', '--test-reporter=tap', '--test-reporter-destination=/dev/null'];

/** For a child's node: nothing, unless this program uses node:test. */
export function withoutTests(): readonly string[] {
  const { moduleLoadList } = process as unknown as { moduleLoadList?: string[] };
  return moduleLoadList?.includes(HARNESS) ? NO_TESTS : [];
}

/** By this the runner has told a file of tests, and no child of it, to report in its own format on standard output. */
export const CONTEXT = 'NODE_TEST_CONTEXT';
