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

// Whether a child of this process is stopped (SIGSTOP): 1 or 0.
int is_stopped(int pidfd);

// How a child of this process ended: its exit code, or 256 + the signal. -EAGAIN: it has not ended; -ECHILD: it is no
// child of this process, or has been reaped. `reap`: it is a zombie no more; else somebody else can still ask.
int exit_status(int pidfd, bool reap);

// Sleeps until one of the descriptors is readable (or broken) or `ms` have passed (negative: for ever); marks who is.
// How many are; 0 also when a signal came.
int poll_descriptors(const int32_t* descriptors, uint8_t* ready, uint32_t n, int ms);

// Its own descriptors never have the numbers of standard input, output and error: a program that has closed one of these
// has nothing there, and gets what it opens next. The number that it has from now on, or -errno, and then it is closed.
int above_standard(int fd);

// For as long as there is one of these, nothing that is opened gets such a number.
class StandardPlaces {
 public:
  StandardPlaces();
  ~StandardPlaces();
  StandardPlaces(const StandardPlaces&) = delete;
  StandardPlaces& operator=(const StandardPlaces&) = delete;

 private:
  bool taken_[3] = {};
};

// The working directory, whatever has become of its name, to go to it by enter_directory().
int open_working_directory();
int enter_directory(int fd);

// Starts a program with the descriptors 0, 1, … of the list and no others; -1 stands for /dev/null. Its signals are as
// in a fresh process. The pid.
int spawn_program(const std::string& file, const std::vector<std::string>& argv, const std::vector<std::string>& env,
                  std::vector<int> descriptors);

// A file in memory that nobody can change any more.
int sealed_memory(const void* data, size_t size);

// This process gets a signal when the thread that made it ends (0: none): the caller looks afterwards whether that has
// been already. Unlike what it would do itself, it works on a stopped process, too (SIGKILL, SIGCONT).
int signal_at_end_of_parent(int signal);

// This process kills itself by SIGKILL when that of the pidfd ends: a thread of its own waits for it. It does not work
// while this process is stopped.
int die_with(int pidfd);

}  // namespace forklock
