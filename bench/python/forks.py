"""os.fork, os._exit, os.waitpid. First line: { megabytes } of bytearrays to live with, each page of them written.
Each further line { count } is answered with a list of times, in ns."""
import json
import os
import signal
import sys
from time import perf_counter_ns

PAGE = 4096


def live(megabytes):
    kept = [bytearray(2**20) for _ in range(megabytes)]
    for part in kept:
        for at in range(0, len(part), PAGE):
            part[at] = 1
    return kept


def rss():
    with open('/proc/self/statm') as statm:
        return int(statm.read().split()[1]) * PAGE


def one():
    start = perf_counter_ns()
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    forked = perf_counter_ns()
    _, status = os.waitpid(pid, 0)
    end = perf_counter_ns()
    if status != 0:
        raise RuntimeError(f'a child ended with {status}')
    return {'total': end - start, 'fork': forked - start, 'wait': end - forked}


def say(message):
    print(json.dumps(message), flush=True)


if __name__ == '__main__':
    signal.alarm(300)  # the kernel ends it, whatever happens; not inherited by a fork
    kept = live(json.loads(sys.stdin.readline())['megabytes'])
    say({'rss': rss()})
    for line in sys.stdin:
        say([one() for _ in range(json.loads(line)['count'])])
