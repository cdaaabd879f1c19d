// Two processes hand a turn to and fro over two semaphores. usage: pingpong <think ns> <ms> <cpu> <cpu>
#include "common.h"
#include <errno.h>
#include <semaphore.h>
#include <sys/resource.h>
#include <sys/wait.h>

struct cell {
  _Alignas(64) sem_t ping;
  _Alignas(64) sem_t pong;
  _Alignas(64) volatile int stop;
  volatile double switches, worked;
};

static double switches(void) {
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_nvcsw;
}

// Nanoseconds that so much work lasts here, now.
static double measured(long loops) {
  double start = now_ns();
  for (int i = 0; i < 50; i++) sink = work(i, loops);
  return (now_ns() - start) / 50;
}

static void take(sem_t *semaphore) {
  while (sem_wait(semaphore) != 0)
    if (errno != EINTR) abort();
}

int main(int argc, char **argv) {
  if (argc < 5) return 2;
  double think_ns = atof(argv[1]), ms = atof(argv[2]);
  struct cell *cell = shared(sizeof *cell);
  sem_init(&cell->ping, 1, 0);
  sem_init(&cell->pong, 1, 0);
  alarm(60);
  pid_t child = fork();
  if (child < 0) return 1;
  if (child == 0) alarm(60); // alarms are not inherited
  pin(atoi(argv[child == 0 ? 4 : 3]));
  long think = (long)(think_ns * loops_per_ns() + 0.5);
  unsigned x = 1;

  if (child == 0) {
    double before = switches();
    for (;;) {
      take(&cell->ping);
      if (cell->stop) break;
      x = work(x, think);
      sem_post(&cell->pong);
    }
    sink = x;
    cell->switches = switches() - before;
    cell->worked = measured(think);
    _exit(0);
  }
  double before = switches(), start = now_ns(), end, trips = 0;
  do {
    x = work(x, think);
    sem_post(&cell->ping);
    take(&cell->pong);
    trips++;
  } while ((end = now_ns()) < start + ms * 1e6);
  double mine = switches() - before;
  cell->stop = 1;
  sem_post(&cell->ping);
  int status;
  waitpid(child, &status, 0);
  sink = x;
  printf("{\"trips\":%.0f,\"took\":%.0f,\"switches\":%.0f,\"worked\":%.0f}\n", trips, end - start,
         mine + cell->switches, measured(think) + cell->worked);
  return status != 0;
}
