import { writeSync } from 'node:fs';
import { process } from '../../thread.js';

/** What a stream has yet to hand to libuv: something only while libuv has a write of it in its queue. */
interface State {
  length: number;
  getBuffer?(): { chunk: Buffer | string }[];
}

const EMPTY = Buffer.alloc(0);

function usedOutputs(): { fd: number; state: State }[] {
  const used: { fd: number; state: State }[] = [];
  for (const stream of [process.stdout, process.stderr]) {
    const state = (stream as unknown as { _writableState?: State })._writableState;
    if (state && state.length > 0) used.push({ fd: stream.fd, state });
  }
  return used;
}

/** In the child of a fork: what the parent has yet to write is the parent's to write. */
export function dropBuffered(): void {
  for (const { state } of usedOutputs()) {
    for (const entry of state.getBuffer?.() ?? []) {
      state.length -= entry.chunk.length;
      entry.chunk = EMPTY;
    }
  }
}

/** Before _exit(2), and after what libuv had. */
export function writeBuffered(): void {
  for (const { fd, state } of usedOutputs()) {
    for (const { chunk } of state.getBuffer?.() ?? []) writeAll(fd, Buffer.from(chunk as Buffer));
  }
}

function writeAll(fd: number, bytes: Buffer): void {
  for (let done = 0; done < bytes.length; ) {
    try {
      done += writeSync(fd, bytes, done);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') return; // nobody reads any more
      pause();
    }
  }
}

/** A full pipe: its reader is slower than this program was. */
function pause(): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
}
