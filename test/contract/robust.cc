#include "robust.h"

namespace contract {

void make_robust(pthread_mutex_t* mutex) {
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
  pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
  EXPECT_EQ(pthread_mutex_init(mutex, &attributes), 0);
}

int kernel_word() {
  static const int found = [] {
    pthread_mutex_t mutex;
    make_robust(&mutex);
    pthread_mutex_lock(&mutex);
    const auto* words = reinterpret_cast<const uint32_t*>(&mutex);
    const auto tid = static_cast<uint32_t>(own_tid());
    const int index = words[0] == tid ? 0 : words[1] == tid ? 1 : -1;
    pthread_mutex_unlock(&mutex);
    return index;
  }();
  return found;
}

}  // namespace contract
