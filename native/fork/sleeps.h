// What the threads of this process do, as the kernel tells it. x86-64 with glibc.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace forklock {

// The system call in which a thread sleeps: /proc/<pid>/task/<tid>/syscall, proc(5).
struct Sleep {
  long number = -1;
  unsigned long args[6] = {};
  unsigned long sp = 0;
  unsigned long pc = 0;
};

// What becomes of a thread that is found in such a sleep when the process forks.
enum class Role {
  kContinue,  // sleeps until somebody has work for it: the child needs it
  kLeave,     // sleeps, and the child starts its own, or does without
  kBusy
};

// False when the thread runs, or is gone.
bool read_sleep(pid_t tid, Sleep* sleep);

// Whether this kernel tells it at all: 0 or -errno.
int can_read_sleeps();

// Whether it is in the loop of libuv, or another one by epoll.
bool is_poll(const Sleep& sleep);

Role role_of(const Sleep& sleep);

// Whether it waits on memory that processes share, and not for another thread of this one.
bool waits_on_shared_memory(const Sleep& sleep);

// Whether an address is in the static data of the executable or of a library.
bool is_static(unsigned long address);

bool blocks_signal(pid_t tid, int signal);

// Fills the list: 0 or -errno.
int other_threads(std::vector<pid_t>* tids);

// For people: its number and name.
std::string describe_thread(pid_t tid);

}  // namespace forklock
