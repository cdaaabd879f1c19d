import { native } from '../../native.js';
import { runHooksInChild } from './at-fork.js';
import { becomeChild, setUpChild } from './become-child.js';
import { endWithEmptyLoop } from './empty-loop.js';
import { silenceLater } from './silence.js';
import { runsAlone } from './why-no-fork.js';

/** In a child that goes on with the code that forked. `dryRun`: this is not a child, and nothing changes. */
export function goOnAsChild(dryRun = false): void {
  setUpChild(() => {
    becomeChild({ dryRun });
    const silenced = silenceLater(dryRun);
    if ((silenced || runsAlone()) && !dryRun) endWithEmptyLoop();
    if (dryRun) return;
    runHooksInChild();
    native().childIsReady();
  });
}
