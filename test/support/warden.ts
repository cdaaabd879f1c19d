import { spawn } from 'node:child_process';
import type { Writable } from 'node:stream';

/**
 * A process that lives as long as this one, and then ends what this one has started: also when it is killed and can do
 * nothing itself.
 */
const DUTY = `
living=
while read -r what id; do
  case $what in
    began) living="$living $id" ;;
    ended) rest=; for each in $living; do [ "$each" = "$id" ] || rest="$rest $each"; done; living=$rest ;;
  esac
done
for each in $living; do kill -s KILL -- "$each" 2>/dev/null; done
`;

let warden: Writable | undefined;

function post(): Writable {
  if (warden) return warden;
  // A session of its own, so that it outlives who is killed with all of its group.
  const child = spawn('sh', ['-c', DUTY], { detached: true, stdio: ['pipe', 'ignore', 'ignore'] });
  child.unref();
  (child.stdin as Writable & { unref(): void }).unref();
  child.stdin.on('error', () => {}); // somebody has killed it
  warden = child.stdin;
  return warden;
}

/** That a process, or the group `-pid`, is to be ended with this one, until `ended` is called. */
export function guard(id: number): { ended(): void } {
  post().write(`began ${id}\n`);
  return { ended: () => void post().write(`ended ${id}\n`) };
}
