// What ends of processes, pids, pidfds and signals do, for native/process.cc.
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <initializer_list>
#include <thread>

#include "futex.h"

using namespace contract;

namespace {

constexpr idtype_t kPidfd = static_cast<idtype_t>(3);

struct Shared {
  std::atomic<int> step;
  std::atomic<int> value;
};

int open_pidfd(pid_t pid) {
  const int fd = static_cast<int>(syscall(434 /* pidfd_open */, pid, 0));
  if (fd < 0 && (errno == ENOSYS || errno == EPERM)) skip_for_error("pidfd_open is refused here");
  EXPECT(fd >= 0);
  return fd;
}

long signal_pidfd(int fd, int signal) { return syscall(424 /* pidfd_send_signal */, fd, signal, nullptr, 0) == 0 ? 0 : -errno; }

bool is_readable(int fd, int ms = 0) {
  pollfd entry = {fd, POLLIN, 0};
  return poll(&entry, 1, ms) == 1 && (entry.revents & POLLIN) != 0;
}

pid_t start_pausing() {
  return in_child([] {
    for (;;) pause();
  });
}

// Field 22 of /proc/<pid>/stat.
unsigned long long start_of(pid_t pid) {
  char path[64];
  char text[1024];
  snprintf(path, sizeof path, "/proc/%d/stat", pid);
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  const ssize_t n = read(fd, text, sizeof text - 1);
  close(fd);
  text[n > 0 ? n : 0] = 0;
  const char* at = strrchr(text, ')');
  unsigned long long start = 0;
  for (int field = 2; at != nullptr && field < 22; field++) at = strchr(at + 1, ' ');
  EXPECT(at != nullptr && sscanf(at, "%llu", &start) == 1);
  return start;
}

}  // namespace

FACT(readable, "a pidfd is readable when the process has ended, not before") {
  const pid_t child = start_pausing();
  const int fd = open_pidfd(child);
  EXPECT(!is_readable(fd));
  kill(child, SIGKILL);
  EXPECT(is_readable(fd, 10000));
  EXPECT_EQ(WTERMSIG(end_of(child)), SIGKILL);
  EXPECT(is_readable(fd));
}

FACT(main_thread_ended, "a pidfd is not readable, and the child cannot be waited for, while any thread of the process lives") {
  Shared* s = shared<Shared>();
  const pid_t child = in_child([=] {
    const pid_t main = own_tid();
    std::thread([=] {
      char path[64];
      char state[512] = {};
      snprintf(path, sizeof path, "/proc/self/task/%d/stat", main);
      do {
        const int stat = open(path, O_RDONLY);
        (void)!read(stat, state, sizeof state - 1);
        close(stat);
      } while (strstr(state, ") Z") == nullptr);
      s->step.store(1);
      for (;;) pause();
    }).detach();
    pthread_exit(nullptr);
  });
  const int fd = open_pidfd(child);
  UNTIL(s->step.load() == 1);
  EXPECT(!is_readable(fd));
  EXPECT_EQ(waitpid(child, nullptr, WNOHANG), 0);
  kill(child, SIGKILL);
  EXPECT(is_readable(fd, 10000));
  end_of(child);
}

FACT(survives_exec, "a pidfd is not readable after execve: it stands for the process") {
  const pid_t child = in_child([] { execl("/proc/self/exe", "contract", "sleep", nullptr); });
  const int fd = open_pidfd(child);
  // It has a new program when its command line says so.
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/cmdline", child);
  UNTIL([&] {
    char text[64] = {};
    const int file = open(path, O_RDONLY);
    const ssize_t n = read(file, text, sizeof text - 1);
    close(file);
    return n > 0 && memmem(text, static_cast<size_t>(n), "sleep", 5) != nullptr;
  }());
  EXPECT(!is_readable(fd));
  EXPECT_EQ(signal_pidfd(fd, SIGKILL), 0);
  EXPECT_EQ(WTERMSIG(end_of(child)), SIGKILL);
}

FACT(zombie, "a pidfd of a child that has ended can still be opened, and is readable, until the child is reaped") {
  const pid_t child = in_child([] {});
  siginfo_t info;
  EXPECT_EQ(waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOWAIT), 0);
  EXPECT_EQ(kill(child, 0), 0);  // which is why nobody is asked this way whether he lives
  EXPECT(is_readable(open_pidfd(child)));
  end_of(child);
}

FACT(no_other, "a signal to the pidfd of a process that is gone is ESRCH, whoever has its pid now") {
  const pid_t child = start_pausing();
  const int fd = open_pidfd(child);
  kill_and_reap(child);
  EXPECT_EQ(signal_pidfd(fd, 0), -ESRCH);
}

FACT(end_is_told, "waitid(P_PIDFD) tells a child's end as often as it is asked with WNOWAIT, and once without") {
  const pid_t child = in_child([] { _exit(7); });
  const int fd = open_pidfd(child);
  EXPECT(is_readable(fd, 10000));
  for (const int flags : {WNOWAIT, WNOWAIT, 0}) {
    siginfo_t info;
    info.si_pid = 0;
    EXPECT_EQ(waitid(kPidfd, static_cast<id_t>(fd), &info, WEXITED | WNOHANG | flags), 0);
    EXPECT_EQ(info.si_pid, child);
    EXPECT_EQ(info.si_code, CLD_EXITED);
    EXPECT_EQ(info.si_status, 7);
  }
  siginfo_t info;
  EXPECT_EQ(waitid(kPidfd, static_cast<id_t>(fd), &info, WEXITED | WNOHANG), -1);
  EXPECT_EQ(errno, ECHILD);
}

FACT(waitid_early, "waitid(P_PIDFD, WNOHANG) leaves si_pid as it is while the child lives") {
  const pid_t child = start_pausing();
  siginfo_t info;
  info.si_pid = 0;
  EXPECT_EQ(waitid(kPidfd, static_cast<id_t>(open_pidfd(child)), &info, WEXITED | WNOHANG), 0);
  EXPECT_EQ(info.si_pid, 0);
  kill_and_reap(child);
}

FACT(others_child, "waitid(P_PIDFD) of a process that is not one's child is ECHILD, though its pidfd is readable at its end") {
  const pid_t child = start_pausing();
  const int fd = open_pidfd(child);
  const pid_t asking = in_child([=] {
    siginfo_t info;
    const bool refused = waitid(kPidfd, static_cast<id_t>(fd), &info, WEXITED | WNOHANG) == -1 && errno == ECHILD;
    kill(child, SIGKILL);
    _exit(refused && is_readable(fd, 10000) ? 5 : 6);
  });
  EXPECT_EQ(WEXITSTATUS(end_of(asking)), 5);
  end_of(child);
}

FACT(reused, "a pid is given to another process after its own is reaped; the start time in /proc/<pid>/stat tells them apart") {
  const pid_t first = start_pausing();
  const unsigned long long start = start_of(first);
  kill_and_reap(first);
  const long tick_ns = 1'000'000'000 / sysconf(_SC_CLK_TCK);
  const timespec two_ticks = {0, 2 * tick_ns};
  nanosleep(&two_ticks, nullptr);
  struct {
    uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size;
  } arguments = {};
  arguments.exit_signal = SIGCHLD;
  arguments.set_tid = reinterpret_cast<uintptr_t>(&first);
  arguments.set_tid_size = 1;
  const auto second = static_cast<pid_t>(syscall(435 /* clone3 */, &arguments, sizeof arguments));
  if (second == 0) {
    for (;;) pause();
  }
  if (second < 0) skip_for_error("clone3 with a chosen pid is refused here (it needs CAP_CHECKPOINT_RESTORE)");
  EXPECT_EQ(second, first);
  const unsigned long long now = start_of(second);
  kill_and_reap(second);
  EXPECT(now > start);
}

FACT(death_signal, "PR_SET_PDEATHSIG: the child is killed when the thread that made it ends, though its process goes on") {
  std::atomic<pid_t> child{0};
  Shared* s = shared<Shared>();
  std::thread([&] {
    const pid_t pid = fork();
    if (pid == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      s->step.store(1);
      for (;;) pause();
    }
    child.store(pid);
    UNTIL(s->step.load() == 1);
  }).join();
  EXPECT_EQ(WTERMSIG(end_of(child.load())), SIGKILL);
}

FACT(death_signal_of_child, "PR_SET_PDEATHSIG is not inherited by a fork") {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  const pid_t child = fork();
  if (child == 0) {
    int signal = -1;
    prctl(PR_GET_PDEATHSIG, &signal);
    _exit(signal == 0 ? 5 : 6);
  }
  EXPECT_EQ(WEXITSTATUS(end_of(child)), 5);
}

FACT(mask_line, "/proc/self/status has the umask, in octal, among its first 256 bytes") {
  umask(0137);
  char text[257] = {};
  const int fd = open("/proc/self/status", O_RDONLY);
  EXPECT(read(fd, text, 256) > 0);
  const char* line = strstr(text, "\nUmask:");
  EXPECT(line != nullptr);
  EXPECT_EQ(strtol(line + 7, nullptr, 8), 0137);
}

FACT(queue_to_thread, "rt_tgsigqueueinfo brings a signal with a value to one thread, as SI_QUEUE from the own pid") {
  static std::atomic<pid_t> got{0};
  static std::atomic<long> value{0};
  static std::atomic<bool> own{false};
  struct sigaction action = {};
  action.sa_flags = SA_SIGINFO;
  action.sa_sigaction = [](int, siginfo_t* info, void*) {
    value.store(reinterpret_cast<intptr_t>(info->si_value.sival_ptr));
    own.store(info->si_code == SI_QUEUE && info->si_pid == getpid());
    got.store(own_tid());
  };
  sigaction(SIGRTMAX, &action, nullptr);
  std::atomic<pid_t> tid{0};
  std::thread([&] {
    tid.store(own_tid());
    for (;;) pause();
  }).detach();
  UNTIL(tid.load() != 0);
  siginfo_t info = {};
  info.si_code = SI_QUEUE;
  info.si_pid = getpid();
  info.si_uid = getuid();
  info.si_value.sival_ptr = reinterpret_cast<void*>(0x123456789aL);
  EXPECT_EQ(syscall(SYS_rt_tgsigqueueinfo, getpid(), tid.load(), SIGRTMAX, &info), 0);
  UNTIL(got.load() != 0);
  EXPECT_EQ(got.load(), tid.load());
  EXPECT_EQ(value.load(), 0x123456789aL);
  EXPECT(own.load());
}

FACT(mask_of_thread, "a new thread begins with the signal mask of the one that made it, and /proc/self/task/*/status tells it") {
  sigset_t all;
  sigset_t old;
  sigfillset(&all);
  sigdelset(&all, SIGRTMAX);
  std::atomic<pid_t> tid{0};
  pthread_sigmask(SIG_SETMASK, &all, &old);
  std::thread([&] {
    tid.store(own_tid());
    for (;;) pause();
  }).detach();
  pthread_sigmask(SIG_SETMASK, &old, nullptr);
  UNTIL(tid.load() != 0);
  char path[64];
  char text[4096] = {};
  snprintf(path, sizeof path, "/proc/self/task/%d/status", tid.load());
  const int fd = open(path, O_RDONLY);
  EXPECT(read(fd, text, sizeof text - 1) > 0);
  const char* line = strstr(text, "\nSigBlk:");
  EXPECT(line != nullptr);
  const unsigned long long mask = strtoull(line + 8, nullptr, 16);
  EXPECT_EQ(mask >> (SIGUSR1 - 1) & 1, 1);
  EXPECT_EQ(mask >> (SIGRTMAX - 1) & 1, 0);
}

FACT(stopped_by_pidfd, "waitid on a pidfd tells that a child is stopped, again and again with WNOWAIT, and its end comes all the same") {
  const pid_t child = start_pausing();
  const int fd = open_pidfd(child);
  const auto is_stopped = [&] {
    siginfo_t info;
    info.si_pid = 0;
    EXPECT_EQ(waitid(kPidfd, static_cast<id_t>(fd), &info, WSTOPPED | WNOHANG | WNOWAIT), 0);
    return info.si_pid != 0;
  };
  EXPECT(!is_stopped());
  EXPECT_EQ(kill(child, SIGSTOP), 0);
  UNTIL(is_stopped());
  EXPECT(is_stopped());
  EXPECT(!is_readable(fd));
  EXPECT_EQ(kill(child, SIGCONT), 0);
  UNTIL(!is_stopped());
  EXPECT_EQ(kill(child, SIGSTOP), 0);
  UNTIL(is_stopped());
  EXPECT_EQ(kill(child, SIGKILL), 0);
  EXPECT(is_readable(fd, 10000));
  EXPECT_EQ(WTERMSIG(end_of(child)), SIGKILL);
}

FACT(goes_on_at_end_of_parent, "SIGCONT as the signal at the end of its parent lets a stopped process go on") {
  Shared* s = shared<Shared>();
  const pid_t parent = in_child([=] {
    const pid_t child = fork();
    if (child == 0) {
      prctl(PR_SET_PDEATHSIG, SIGCONT);
      s->value = getpid();
      raise(SIGSTOP);
      s->step = 2;
      _exit(0);
    }
    int status = 0;
    if (waitpid(child, &status, WUNTRACED) != child || !WIFSTOPPED(status)) _exit(1);
    s->step = 1;
    for (;;) pause();
  });
  UNTIL(s->step.load() == 1);
  kill_and_reap(parent);
  UNTIL(s->step.load() == 2);
}
