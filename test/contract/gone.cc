// What tells that a thread is gone where the kernel has marked nothing.
#include <sched.h>
#include <sys/wait.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <thread>

#include "robust.h"

using namespace contract;

namespace {

constexpr int kThreads = 2;

struct Stage {
  pthread_mutex_t mutexes[kThreads];  // of the process's first thread, and of another one
  std::atomic<pid_t> tids[kThreads];
};

void hold(Stage* stage, int i) {
  pthread_mutex_lock(&stage->mutexes[i]);
  stage->tids[i].store(own_tid());
}

char state_of(pid_t tid) {
  char path[64], line[256];
  snprintf(path, sizeof path, "/proc/%d/stat", tid);
  FILE* file = fopen(path, "re");
  if (file == nullptr) return 0;
  const size_t n = fread(line, 1, sizeof line - 1, file);
  fclose(file);
  line[n] = 0;
  const char* at = strrchr(line, ')');
  return at == nullptr ? 0 : at[2];
}

bool exists(pid_t tid) { return sched_getscheduler(tid) >= 0; }

// Both threads hold a mutex, and the second one calls execve.
pid_t start_exec_by_thread(Stage* stage) {
  for (auto& mutex : stage->mutexes) make_robust(&mutex);
  const pid_t child = in_child([=] {
    hold(stage, 0);
    std::thread([=] {
      hold(stage, 1);
      execl("/proc/self/exe", "contract", "sleep", nullptr);
    }).detach();
    for (;;) pause();
  });
  UNTIL(word_of(&stage->mutexes[0])->load() == kDied);
  return child;
}

}  // namespace

FACT(exec_by_thread, "execve by another thread than the first marks what the first one held, and nothing that it held itself") {
  Stage* stage = shared<Stage>();
  const pid_t child = start_exec_by_thread(stage);
  // The new program sleeps: all that the old one leaves behind is left.
  UNTIL(state_of(child) == 'S');
  EXPECT_EQ(word_of(&stage->mutexes[1])->load(), stage->tids[1].load());
  kill_and_reap(child);
  EXPECT_EQ(word_of(&stage->mutexes[1])->load(), stage->tids[1].load());
}

FACT(exec_takes_first_id, "execve by another thread than the first goes on under the first one's id, and its own is gone") {
  Stage* stage = shared<Stage>();
  const pid_t child = start_exec_by_thread(stage);
  EXPECT_EQ(stage->tids[0].load(), child);
  UNTIL(!exists(stage->tids[1].load()));
  EXPECT_EQ(errno, ESRCH);
  EXPECT(exists(child));
  kill_and_reap(child);
}

FACT(scheduler_of, "sched_getscheduler knows each thread of another process, and says ESRCH when it has ended") {
  Stage* stage = shared<Stage>();
  std::atomic<int>* over = shared<std::atomic<int>>();
  const pid_t child = in_child([=] {
    std::thread([=] {
      stage->tids[1].store(own_tid());
      while (over->load() == 0) sched_yield();
    }).join();
    for (;;) pause();
  });
  UNTIL(stage->tids[1].load() != 0);
  const pid_t tid = stage->tids[1].load();
  EXPECT(tid != child && exists(tid));
  over->store(1);
  UNTIL(!exists(tid));
  EXPECT_EQ(errno, ESRCH);
  kill_and_reap(child);
  EXPECT(!exists(child) && errno == ESRCH);
}

FACT(scheduler_of_zombie, "sched_getscheduler knows a killed process until it is reaped; /proc/<pid>/stat says Z") {
  const pid_t child = in_child([] {
    for (;;) pause();
  });
  kill(child, SIGKILL);
  siginfo_t info;
  EXPECT_EQ(waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOWAIT), 0);
  EXPECT(exists(child));
  EXPECT_EQ(state_of(child), 'Z');
  end_of(child);
  EXPECT(!exists(child));
}
