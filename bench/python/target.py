"""What the processes of the topic `start` run."""
from time import perf_counter_ns


def stamp(shared):
    shared[0] = perf_counter_ns()
