import { native } from '../../native.js';
import { runHooksInChild } from './at-fork.js';
import { becomeChild, setUpChild } from './become-child.js';
import { endAtRest } from './rest.js';
import { silenceLater } from './silence.js';
import { runsAlone } from './why-no-fork.js';

/** In a child that goes on with the code that forked. `rehearsing`: this is not a child, and nothing changes. */
export function goOnAsChild(rehearsing = false): void {
  setUpChild(() => {
    becomeChild({ rehearsing });
    const silenced = silenceLater(rehearsing);
    if ((silenced || runsAlone()) && !rehearsing) endAtRest();
    if (rehearsing) return;
    runHooksInChild();
    native().childIsReady();
  });
}
