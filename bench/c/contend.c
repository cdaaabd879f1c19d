// Two processes, one lock, one counter. usage: contend mutex|robust <ns inside> <ns outside> <ms> <cpu> <cpu>
#include "common.h"
#include <pthread.h>
#include <sys/wait.h>

// The lock and what it protects sit on lines of their own, as they do on the other sides of this benchmark.
struct cell {
  _Alignas(64) pthread_mutex_t lock;
  _Alignas(64) volatile double counter;
  _Alignas(64) struct {
    double sections, took, inside, outside;
  } side[2];
  _Alignas(64) volatile int ready;
  volatile double start;
};

// Nanoseconds that so much work lasts here, now. One after the other, as between the locks: independent ones would overlap.
static double measured(long loops) {
  unsigned x = 1;
  double start = now_ns();
  for (int i = 0; i < 1000; i++) x = work(x, loops);
  sink = x;
  return (now_ns() - start) / 1000;
}

static void run(struct cell *cell, int me, double inside_ns, double outside_ns, double ms) {
  double rate = loops_per_ns();
  long inside = (long)(inside_ns * rate + 0.5), outside = (long)(outside_ns * rate + 0.5);
  int chunk = inside_ns + outside_ns > 0 ? 32 : 256;
  __atomic_add_fetch(&cell->ready, 1, __ATOMIC_SEQ_CST);
  if (me == 0) {
    while (__atomic_load_n(&cell->ready, __ATOMIC_SEQ_CST) < 2) usleep(100);
    cell->start = now_ns() + 5e6;
  }
  while (cell->start == 0) usleep(100);
  while (now_ns() < cell->start) continue;
  double sections = 0, until = cell->start + ms * 1e6, end;
  unsigned x = me;
  do {
    for (int i = 0; i < chunk; i++) {
      if (pthread_mutex_lock(&cell->lock) != 0) abort();
      cell->counter = cell->counter + 1;
      x = work(x, inside);
      pthread_mutex_unlock(&cell->lock);
      x = work(x, outside);
    }
    sections += chunk;
  } while ((end = now_ns()) < until);
  sink = x;
  cell->side[me].sections = sections;
  cell->side[me].took = end - cell->start;
  cell->side[me].inside = measured(inside);
  cell->side[me].outside = measured(outside);
}

int main(int argc, char **argv) {
  if (argc < 7) return 2;
  double inside = atof(argv[2]), outside = atof(argv[3]), ms = atof(argv[4]);
  struct cell *cell = shared(sizeof *cell);
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
  if (strcmp(argv[1], "robust") == 0) pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
  pthread_mutex_init(&cell->lock, &attributes);

  alarm(60);
  pid_t child = fork();
  if (child < 0) return 1;
  if (child == 0) {
    alarm(60); // alarms are not inherited
    pin(atoi(argv[6]));
    run(cell, 1, inside, outside, ms);
    _exit(0);
  }
  pin(atoi(argv[5]));
  run(cell, 0, inside, outside, ms);
  int status;
  waitpid(child, &status, 0);
  if (status != 0) return 1;
  printf("{\"counter\":%.0f,\"sides\":[", cell->counter);
  for (int i = 0; i < 2; i++)
    printf("%s[%.0f,%.0f,%.1f,%.1f]", i ? "," : "", cell->side[i].sections, cell->side[i].took, cell->side[i].inside,
           cell->side[i].outside);
  puts("]}");
  return 0;
}
