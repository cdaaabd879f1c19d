// Lock + unlock with nobody else there. usage: pairs <ms per case>; prints nanoseconds a pair, median of the chunks.
#include "common.h"
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>

enum { CHUNK = 20000, MOST = 100000 };
static double samples[MOST];

#define MEASURE(pair)                                                  \
  do {                                                                 \
    int count = 0;                                                     \
    double until = now_ns() + ms * 1e6;                                \
    while (count < MOST) {                                             \
      double start = now_ns();                                         \
      if (start > until && count > 0) break;                           \
      for (int i = 0; i < CHUNK; i++) {                                \
        pair;                                                          \
      }                                                                \
      samples[count++] = (now_ns() - start) / CHUNK;                   \
    }                                                                  \
    result = quantile(samples, count, 0.5);                            \
  } while (0)

int main(int argc, char **argv) {
  double ms = argc > 1 ? atof(argv[1]) : 50, result;
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
  pthread_mutex_t *mutex = shared(4096), *robust = shared(4096);
  pthread_mutex_init(mutex, &attributes);
  pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
  pthread_mutex_init(robust, &attributes);
  sem_t *semaphore = shared(4096);
  sem_init(semaphore, 1, 1);

  MEASURE(pthread_mutex_lock(mutex); pthread_mutex_unlock(mutex));
  printf("{\"mutex\":%.3f", result);
  MEASURE(pthread_mutex_lock(robust); pthread_mutex_unlock(robust));
  printf(",\"robust\":%.3f", result);
  MEASURE(sem_wait(semaphore); sem_post(semaphore));
  printf(",\"sem\":%.3f}\n", result);
  return 0;
}
