// FUTEX_WAKE in one process until the waiter of another runs. usage: wake <count> <rest ms> <cpu> <cpu>
// Both sides are idle before each wake, as both are in the asynchronous case that this is compared with.
#include "common.h"
#include <linux/futex.h>
#include <sys/syscall.h>
#include <sys/wait.h>

enum { MOST = 10000 };
struct cell {
  _Alignas(64) int word;
  _Alignas(64) volatile int waiting;
  volatile double woke;
};

static long futex(int *word, int operation, int value) { return syscall(SYS_futex, word, operation, value, NULL, NULL, 0); }

int main(int argc, char **argv) {
  if (argc < 5) return 2;
  int count = atoi(argv[1]);
  if (count < 1 || count > MOST) return 2;
  useconds_t rest = (useconds_t)(atof(argv[2]) * 1000);
  static double latency[MOST];
  struct cell *cell = shared(sizeof *cell);
  alarm(60);
  pid_t child = fork();
  if (child < 0) return 1;
  if (child == 0) {
    alarm(60); // alarms are not inherited
    pin(atoi(argv[4]));
    for (int i = 1; i <= count; i++) {
      cell->waiting = i;
      while (__atomic_load_n(&cell->word, __ATOMIC_SEQ_CST) != i) futex(&cell->word, FUTEX_WAIT, i - 1);
      cell->woke = now_ns();
      cell->waiting = -i;
    }
    _exit(0);
  }
  pin(atoi(argv[3]));
  for (int i = 1; i <= count; i++) {
    while (cell->waiting != i) usleep(100);
    usleep(rest);
    double start = now_ns();
    __atomic_store_n(&cell->word, i, __ATOMIC_SEQ_CST);
    futex(&cell->word, FUTEX_WAKE, 1);
    while (cell->waiting == i) usleep(100);
    latency[i - 1] = cell->woke - start;
  }
  waitpid(child, NULL, 0);
  printf("{\"median\":%.0f,", quantile(latency, count, 0.5));
  printf("\"p99\":%.0f}\n", quantile(latency, count, 0.99));
  return 0;
}
