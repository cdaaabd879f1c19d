import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** What takes longest begins first, so that nobody waits for it in the end. */
const LONGEST = [
  'owner-death',
  'teardown',
  'bundles',
  'package',
  'waiting',
  'runners',
  'limits',
  'ends',
  'memory',
  'sharing',
  'face',
  'counts',
  'explore',
  'fallback',
  'options',
];

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const place = ({ moduleId }: TestSpecification): number => {
      const at = LONGEST.findIndex((name) => moduleId.endsWith(`/${name}.test.ts`));
      return at < 0 ? LONGEST.length : at;
    };
    return (await super.sort(files)).sort((a, b) => place(a) - place(b));
  }
}

// A node that is told of more certificates reads them when it starts, which takes longer than all else that it does then.
// No test needs them, and the tests start thousands.
delete process.env.NODE_EXTRA_CA_CERTS;

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    reporters: ['default', './test/support/closing-line.ts'],
    tags: [{ name: 'two-forms', description: 'has a long form: test/support/long.ts' }],
    pool: 'forks',
    // For two cores: what tests wait for leaves room for one more. With many the deadlines of blocked children get tight.
    maxWorkers: 3,
    sequence: { sequencer: LongestFirst },
    // On a machine that has much else to do; what passes waits for none of it.
    testTimeout: 90_000,
    hookTimeout: 90_000,
  },
});
