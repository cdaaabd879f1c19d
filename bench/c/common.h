// What the C baselines share: the clock, the calibrated busy work, and a word that the compiler may not remove.
#pragma once
#define _GNU_SOURCE
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static volatile unsigned sink;

static inline double now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1e9 + t.tv_nsec;
}

static inline void *shared(size_t size) {
  void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) {
    perror("mmap");
    exit(1);
  }
  return memory;
}

// Where the scheduler puts two processes that wake each other decides most of what they cost; -1 leaves it the choice.
static inline void pin(int cpu) {
  if (cpu < 0) return;
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  if (sched_setaffinity(0, sizeof set, &set) != 0) {
    perror("sched_setaffinity");
    exit(1);
  }
}

// Each step needs the one before it, so nothing can be folded or run side by side. lib/work.mjs is the same loop.
static __attribute__((noinline)) unsigned work(unsigned x, long loops) {
  for (long i = 0; i < loops; i++) x = x * 1664525u + 1013904223u;
  return x;
}

// The fastest of many short tries: the slower ones were interrupted.
static inline double loops_per_ns(void) {
  const long loops = 20000;
  double best = 1e18;
  for (int i = 0; i < 100; i++) {
    double start = now_ns();
    sink = work(sink, loops);
    double took = now_ns() - start;
    if (took < best) best = took;
  }
  return loops / best;
}

static int by_value(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static inline double quantile(double *values, int count, double q) {
  qsort(values, count, sizeof *values, by_value);
  int at = (int)(q * count);
  return values[at < count ? at : count - 1];
}
