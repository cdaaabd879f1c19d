// Other processes, seen through pidfds: a number that names a process for as long as the descriptor is open, however
// often the kernel gives out its pid again. Results are -errno when negative.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace forklock {

// This process's file mode mask. umask(2) can only be asked by setting it, for all threads.
int read_umask();

int open_pidfd(int pid);
int signal_process(int pidfd, int signal);

// Of a child that nobody has waited for. When there can be none, nobody could follow the child: it is killed.
int pidfd_of_child(int pid);

// How a child of this process ended: its exit code, or 256 + the signal. -EAGAIN: it has not ended; -ECHILD: it is no
// child of this process, or has been reaped. `reap`: it is a zombie no more; else somebody else can still ask.
int exit_status(int pidfd, bool reap);

// Sleeps until one of the descriptors is readable (or broken) or `ms` have passed (negative: for ever); marks who is.
// How many are; 0 also when a signal came.
int poll_descriptors(const int32_t* descriptors, uint8_t* ready, uint32_t n, int ms);

// Starts a program with the descriptors 0, 1, … of the list and no others; -1 stands for /dev/null. Its signals are as
// in a fresh process. The pid.
int spawn_program(const std::string& file, const std::vector<std::string>& argv, const std::vector<std::string>& env,
                  std::vector<int> descriptors);

// A file in memory that nobody can change any more.
int sealed_memory(const void* data, size_t size);

// This process is killed by SIGKILL when the thread that made it ends: the caller looks afterwards whether that has
// been already. It works on a stopped process, too.
int die_with_parent_thread();

// This process kills itself by SIGKILL when that of the pidfd ends: a thread of its own waits for it. It does not work
// while this process is stopped.
int die_with(int pidfd);

}  // namespace forklock
