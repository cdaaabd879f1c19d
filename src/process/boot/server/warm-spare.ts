// The target with which a spare child rehearses: a module that the fork server has not loaded, so that this loads one.
import 'forklock';

export { close } from './warm.js';
