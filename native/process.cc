#include "process.h"

#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <linux/memfd.h>
#include <poll.h>
#include <pthread.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "orphans.h"
#include "proc.h"

namespace forklock {
namespace {

// Older libcs know neither the names nor the numbers, which are the same on every architecture.
constexpr long kPidfdOpen = 434;
constexpr long kPidfdSendSignal = 424;
constexpr idtype_t kPidfd = static_cast<idtype_t>(3);  // P_PIDFD, Linux 5.4

int result(long r) { return r < 0 ? -errno : static_cast<int>(r); }

// The actions and attributes of one posix_spawn.
struct Spawn {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  std::vector<int> moved;  // copies of descriptors whose numbers are needed for others

  Spawn() {
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
  }
  ~Spawn() {
    for (const int fd : moved) close(fd);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
  }
  Spawn(const Spawn&) = delete;
  Spawn& operator=(const Spawn&) = delete;
};

std::vector<char*> pointers(const std::vector<std::string>& strings) {
  std::vector<char*> out;
  for (const std::string& s : strings) out.push_back(const_cast<char*>(s.c_str()));
  out.push_back(nullptr);
  return out;
}

void* wait_and_die(void* argument) {
  const int pidfd = static_cast<int>(reinterpret_cast<intptr_t>(argument));
  pollfd entry{pidfd, POLLIN, 0};
  while (poll(&entry, 1, -1) < 0 && errno == EINTR) {
  }
  kill(getpid(), SIGKILL);
  return nullptr;
}

}  // namespace

int read_umask() {
  char status[256];  // it is the second line, since Linux 4.7
  if (!read_proc("/proc/self/status", status, sizeof status)) return -errno;
  const char* line = strstr(status, "\nUmask:");
  return line == nullptr ? -ENOSYS : static_cast<int>(strtol(line + 7, nullptr, 8));
}

int open_pidfd(int pid) { return result(syscall(kPidfdOpen, pid, 0)); }

int signal_process(int pidfd, int signal) { return result(syscall(kPidfdSendSignal, pidfd, signal, nullptr, 0)); }

int pidfd_of_child(int pid) {
  const int pidfd = open_pidfd(pid);
  if (pidfd >= 0) {
    announce_child(pidfd);
    return pidfd;
  }
  kill(pid, SIGKILL);
  while (waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
  }
  return pidfd;
}

int is_stopped(int pidfd) {
  siginfo_t info;
  info.si_pid = 0;
  const int r = waitid(kPidfd, static_cast<id_t>(pidfd), &info, WSTOPPED | WNOHANG | WNOWAIT);
  if (r < 0) return -errno;
  return info.si_pid != 0 ? 1 : 0;
}

int exit_status(int pidfd, bool reap) {
  siginfo_t info;
  info.si_pid = 0;  // and 0 it stays when the child has not ended
  int r;
  do {
    r = waitid(kPidfd, static_cast<id_t>(pidfd), &info, WEXITED | WNOHANG | (reap ? 0 : WNOWAIT));
  } while (r < 0 && errno == EINTR);
  if (r < 0) return -errno;
  if (info.si_pid == 0) return -EAGAIN;
  return info.si_code == CLD_EXITED ? info.si_status & 0xff : 256 + info.si_status;
}

int poll_descriptors(const int32_t* descriptors, uint8_t* ready, uint32_t n, int ms) {
  std::vector<pollfd> entries(n);
  for (uint32_t i = 0; i < n; i++) entries[i] = {descriptors[i], POLLIN, 0};
  const int r = poll(entries.data(), n, ms);
  if (r < 0 && errno != EINTR) return -errno;
  for (uint32_t i = 0; i < n; i++) ready[i] = r > 0 && entries[i].revents != 0;
  return r < 0 ? 0 : r;
}

int above_standard(int fd) {
  if (fd < 0 || fd > STDERR_FILENO) return fd;
  const int moved = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
  const int error = errno;
  close(fd);
  errno = error;
  return moved < 0 ? -error : moved;
}

StandardPlaces::StandardPlaces() {
  for (int fd = 0; fd <= STDERR_FILENO; fd++) {
    if (fcntl(fd, F_GETFD) < 0) taken_[fd] = open("/dev/null", O_RDWR | O_CLOEXEC) == fd;
  }
}

StandardPlaces::~StandardPlaces() {
  for (int fd = 0; fd <= STDERR_FILENO; fd++) {
    if (taken_[fd]) close(fd);
  }
}

int open_working_directory() {
  int fd = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
  // A process that has given up root may be in a directory that it may not search.
  if (fd < 0 && errno == EACCES) fd = open("/proc/self/cwd", O_PATH | O_DIRECTORY | O_CLOEXEC);
  return fd < 0 ? -errno : fd;
}

int enter_directory(int fd) {
  if (fchdir(fd) == 0) return 0;
  const int error = errno;
  struct stat wanted, own;
  const bool is_there = fstat(fd, &wanted) == 0 && stat("/proc/self/cwd", &own) == 0 && wanted.st_dev == own.st_dev &&
                        wanted.st_ino == own.st_ino;
  return is_there ? 0 : -error;
}

int spawn_program(const std::string& file, const std::vector<std::string>& argv, const std::vector<std::string>& env,
                  std::vector<int> descriptors) {
  Spawn spawn;
  const int n = static_cast<int>(descriptors.size());
  for (int i = 0; i < n; i++) {
    int& fd = descriptors[static_cast<size_t>(i)];
    if (fd >= 0 && fcntl(fd, F_GETFD) < 0) fd = -1;  // standard output can be closed
    if (fd < 0 || fd >= n || fd == i) continue;
    fd = fcntl(fd, F_DUPFD_CLOEXEC, n);  // its number is needed before its turn comes
    if (fd < 0) return -errno;
    spawn.moved.push_back(fd);
  }
  for (int i = 0; i < n; i++) {
    const int fd = descriptors[static_cast<size_t>(i)];
    // With equal numbers dup2 clears the close-on-exec flag here (POSIX.1-2024, glibc 2.29, musl 1.1.24).
    const int failed = fd < 0 ? posix_spawn_file_actions_addopen(&spawn.actions, i, "/dev/null", O_RDWR, 0)
                              : posix_spawn_file_actions_adddup2(&spawn.actions, fd, i);
    if (failed != 0) return -failed;
  }
  sigset_t all, none;
  sigfillset(&all);
  sigemptyset(&none);
  posix_spawnattr_setsigdefault(&spawn.attributes, &all);  // ignored ones would be inherited
  posix_spawnattr_setsigmask(&spawn.attributes, &none);
  posix_spawnattr_setflags(&spawn.attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
  pid_t pid = 0;
  const int failed = posix_spawn(&pid, file.c_str(), &spawn.actions, &spawn.attributes, pointers(argv).data(),
                                 pointers(env).data());
  return failed != 0 ? -failed : pid;
}

int sealed_memory(const void* data, size_t size) {
  const int fd = memfd_create("forklock-message", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (fd < 0) return -errno;
  const char* at = static_cast<const char*>(data);
  for (size_t done = 0; done < size;) {
    const ssize_t n = pwrite(fd, at + done, size - done, static_cast<off_t>(done));
    if (n > 0) {
      done += static_cast<size_t>(n);
    } else if (n == 0 || errno != EINTR) {
      const int error = n == 0 ? ENOSPC : errno;
      close(fd);
      return -error;
    }
  }
  if (fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
    const int error = errno;
    close(fd);
    return -error;
  }
  return fd;
}

int signal_at_end_of_parent(int signal) { return result(prctl(PR_SET_PDEATHSIG, signal)); }

int die_with(int pidfd) {
  const int own = fcntl(pidfd, F_DUPFD_CLOEXEC, 3);  // whatever happens to the caller's
  if (own < 0) return -errno;
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_attr_setstacksize(&attributes, PTHREAD_STACK_MIN + 16384);
  sigset_t all, old;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &old);  // the program's signal handlers belong on its own threads
  pthread_t thread;
  const int failed =
      pthread_create(&thread, &attributes, wait_and_die, reinterpret_cast<void*>(static_cast<intptr_t>(own)));
  pthread_sigmask(SIG_SETMASK, &old, nullptr);
  pthread_attr_destroy(&attributes);
  if (failed != 0) {
    close(own);
    return -failed;
  }
  pthread_setname_np(thread, "forklock-parent");
  return 0;
}

}  // namespace forklock
