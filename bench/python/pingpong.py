"""Two processes hand a turn to and fro over two multiprocessing.Semaphores. usage: pingpong.py <think ns> <ms> <cpu> <cpu>"""
import json
import multiprocessing
import os
import resource
import signal
import sys
import time


def think(ns):
    until = time.monotonic_ns() + ns
    while time.monotonic_ns() < until:
        pass


def switches():
    return resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw


def begin(cpu):
    signal.alarm(60)  # the kernel ends it, however it blocks; not inherited by a fork
    if cpu >= 0:
        os.sched_setaffinity(0, {cpu})


def answer(ping, pong, stop, counted, think_ns, cpu):
    begin(cpu)
    before = switches()
    while True:
        ping.acquire()
        if stop.value:
            break
        if think_ns:
            think(think_ns)
        pong.release()
    counted.value = switches() - before


if __name__ == '__main__':
    think_ns, ms = float(sys.argv[1]), float(sys.argv[2])
    cpus = [int(a) for a in sys.argv[3:5]]
    fork = multiprocessing.get_context('fork')
    ping, pong = fork.Semaphore(0), fork.Semaphore(0)
    stop, counted = fork.RawValue('i', 0), fork.RawValue('d', 0)
    other = fork.Process(target=answer, args=(ping, pong, stop, counted, think_ns, cpus[1]), daemon=True)
    other.start()
    begin(cpus[0])
    before, start, trips = switches(), time.monotonic_ns(), 0
    while True:
        if think_ns:
            think(think_ns)
        ping.release()
        pong.acquire()
        trips += 1
        end = time.monotonic_ns()
        if end >= start + ms * 1e6:
            break
    mine = switches() - before
    stop.value = 1
    ping.release()
    other.join(10)
    print(json.dumps({'trips': trips, 'took': end - start, 'switches': mine + counted.value, 'worked': 2 * think_ns}))
