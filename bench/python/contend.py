"""Two processes, one multiprocessing.Lock, one counter. usage: contend.py <ns inside> <ns outside> <ms> <cpu> <cpu>

The work is calibrated as in the other languages, but in steps of Python's own size; how long it really lasted is printed too."""
import json
import multiprocessing
import os
import signal
import sys
import time


def work(x, loops):
    for _ in range(loops):
        x = (x * 1664525 + 1013904223) & 0xFFFFFFFF
    return x


def calibrate():
    best = float('inf')
    for _ in range(100):
        start = time.monotonic_ns()
        work(1, 400)
        best = min(best, time.monotonic_ns() - start)
    return 400 / best


def measured(loops):
    start = time.monotonic_ns()
    x = 1
    for _ in range(1000):
        x = work(x, loops)
    return (time.monotonic_ns() - start) / 1000


def run(me, lock, counter, ready, start_at, sides, inside_ns, outside_ns, ms, cpus):
    signal.alarm(60)  # the kernel ends it, however it blocks; not inherited by a fork
    if cpus[me] >= 0:
        os.sched_setaffinity(0, {cpus[me]})
    rate = calibrate()
    inside, outside = round(inside_ns * rate), round(outside_ns * rate)
    with ready.get_lock():
        ready.value += 1
    if me == 0:
        while ready.value < 2:
            time.sleep(0.0005)
        start_at.value = time.monotonic_ns() + 5e6
    while start_at.value == 0:
        time.sleep(0.0005)
    start = start_at.value
    while time.monotonic_ns() < start:
        pass
    acquire, release = lock.acquire, lock.release
    until = start + ms * 1e6
    sections, x = 0, me
    while True:
        for _ in range(32):
            acquire()
            counter.value += 1
            x = work(x, inside)
            release()
            x = work(x, outside)
        sections += 32
        end = time.monotonic_ns()
        if end >= until:
            break
    sides[me * 4:me * 4 + 4] = [sections, end - start, measured(inside), measured(outside)]


if __name__ == '__main__':
    inside_ns, outside_ns, ms = (float(a) for a in sys.argv[1:4])
    cpus = [int(a) for a in sys.argv[4:6]]
    fork = multiprocessing.get_context('fork')
    lock = fork.Lock()
    counter, start_at = fork.RawValue('d', 0), fork.RawValue('d', 0)
    ready, sides = fork.Value('i', 0), fork.RawArray('d', 8)
    shared = (lock, counter, ready, start_at, sides, inside_ns, outside_ns, ms, cpus)
    other = fork.Process(target=run, args=(1, *shared), daemon=True)
    other.start()
    run(0, *shared)
    other.join(10)
    if other.exitcode != 0:
        os._exit(1)
    print(json.dumps({'counter': counter.value, 'sides': [sides[0:4], sides[4:8]]}))
