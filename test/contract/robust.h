// Robust mutexes, as forklock's participants hold them.
#pragma once

#include <pthread.h>

#include "futex.h"

namespace contract {

void make_robust(pthread_mutex_t* mutex);

// Which of a mutex's words the kernel marks: the one with the tid of who has it.
int kernel_word();

inline Word* word_of(pthread_mutex_t* mutex) { return reinterpret_cast<Word*>(mutex) + kernel_word(); }

}  // namespace contract
