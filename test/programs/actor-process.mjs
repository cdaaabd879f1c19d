// An actor as a Process: the target. It has no channel of Node's own, and connects to a socket of the test.
import { connect } from 'node:net';
import { act } from './acting.mjs';
import { frame, readFrames } from './frames.mjs';

/** `given` has forklock objects that came as arguments. */
export function main(path, id, given) {
  const socket = connect(path, () => {
    socket.write(frame({ actor: id }));
    const perform = act({ send: (message) => socket.write(frame(message)), hangUp: () => socket.end(), given });
    readFrames(socket, perform);
  });
  socket.on('error', () => {}); // the test is over
}
