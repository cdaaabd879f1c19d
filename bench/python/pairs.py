"""acquire + release of multiprocessing's objects with nobody else there. usage: pairs.py <ms per case>; prints ns a pair."""
import json
import multiprocessing
import statistics
import sys
import time

CHUNK = 2000


def measure(lock, ms):
    acquire, release = lock.acquire, lock.release
    samples = []
    until = time.monotonic_ns() + ms * 1e6
    while True:
        start = time.monotonic_ns()
        if start > until and samples:
            return statistics.median(samples)
        for _ in range(CHUNK):
            acquire()
            release()
        samples.append((time.monotonic_ns() - start) / CHUNK)


ms = float(sys.argv[1])
print(json.dumps({'lock': measure(multiprocessing.Lock(), ms)}))
