"""multiprocessing.Process, start and join. First line: { method }. Each further line { count } is answered with a list
of { first, whole }: ns until the target's first line ran, and until it was known to have ended."""
import json
import multiprocessing
import signal
import sys
from time import perf_counter_ns

from target import stamp


def one(context, shared):
    start = perf_counter_ns()
    process = context.Process(target=stamp, args=(shared,))
    process.start()
    process.join()
    whole = perf_counter_ns() - start
    if process.exitcode != 0:
        raise RuntimeError(f'a child ended with {process.exitcode}')
    process.close()
    return {'first': shared[0] - start, 'whole': whole}


if __name__ == '__main__':
    signal.alarm(300)  # the kernel ends it, whatever happens; not inherited by a fork
    context = multiprocessing.get_context(json.loads(sys.stdin.readline())['method'])
    shared = context.RawArray('q', 1)
    for line in sys.stdin:
        print(json.dumps([one(context, shared) for _ in range(json.loads(line)['count'])]), flush=True)
