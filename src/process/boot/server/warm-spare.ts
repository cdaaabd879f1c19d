// The target of the trial run of a spare child: a module that the fork server has not loaded, so that this loads one.
import 'forklock';

export { close } from './warm.js';
