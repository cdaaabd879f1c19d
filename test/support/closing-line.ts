import type { Reporter, TestModule } from 'vitest/node';

/**
 * The last line of a run, in a form that any CI understands, and before it what has failed, which may else be in the part of
 * a long log that is not shown. A run in which no test ran has failed.
 */
export default class ClosingLine implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    const counts = { passed: 0, failed: 0, skipped: 0, pending: 0 };
    for (const module of modules) {
      for (const test of module.children.allTests()) {
        counts[test.result().state]++;
        if (test.result().state === 'failed') console.log(`FAILED ${module.relativeModuleId}: ${test.fullName}`);
      }
      if (module.state() === 'failed' && counts.failed === 0) counts.failed++; // it broke before its first test
    }
    if (counts.passed === 0) process.exitCode = 1;
    console.log(`Tests: ${counts.passed} passed, ${counts.failed} failed, ${counts.skipped + counts.pending} skipped`);
  }
}
