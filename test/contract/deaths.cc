// What the kernel does with the robust mutexes of a thread that ends.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>

#include "robust.h"

using namespace contract;

namespace {

struct Held {
  pthread_mutex_t mutex;
  std::atomic<int> ready;
};

Held* make_held() {
  Held* held = shared<Held>();
  make_robust(&held->mutex);
  return held;
}

// One that can be mapped more than once.
int file_of_held() {
  const int fd = static_cast<int>(syscall(SYS_memfd_create, "contract", 0));
  EXPECT_EQ(ftruncate(fd, sizeof(Held)), 0);
  return fd;
}

Held* map_held(int fd) {
  void* map = mmap(nullptr, sizeof(Held), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  EXPECT(map != MAP_FAILED);
  return static_cast<Held*>(map);
}

void hold(Held* held) {
  pthread_mutex_lock(&held->mutex);
  held->ready.store(1);
}

// A child that holds it.
pid_t start_holder(Held* held) {
  const pid_t child = in_child([=] {
    hold(held);
    for (;;) pause();
  });
  UNTIL(held->ready.load() == 1);
  return child;
}

struct robust_list_head* own_list() {
  struct robust_list_head* head = nullptr;
  size_t size = 0;
  EXPECT_EQ(syscall(SYS_get_robust_list, 0, &head, &size), 0);
  return head;
}

}  // namespace

FACT(word_holds_tid, "a robust mutex that is held has its owner's tid in its first or second word") {
  EXPECT(kernel_word() == 0 || kernel_word() == 1);
  Held* held = make_held();
  EXPECT_EQ(word_of(&held->mutex)->load(), 0);
  pthread_mutex_lock(&held->mutex);
  EXPECT_EQ(word_of(&held->mutex)->load(), own_tid());
}

FACT(sigkill, "SIGKILL: the kernel clears the tid of a robust word and sets OWNER_DIED, before the parent can reap") {
  Held* held = make_held();
  const pid_t child = start_holder(held);
  EXPECT_EQ(word_of(&held->mutex)->load(), child);
  kill_and_reap(child);
  EXPECT_EQ(word_of(&held->mutex)->load(), kDied);
}

FACT(keeps_waiters, "at a death the WAITERS bit of a robust word stays") {
  Held* held = make_held();
  const pid_t child = start_holder(held);
  word_of(&held->mutex)->fetch_or(kWaiters);
  kill_and_reap(child);
  EXPECT_EQ(word_of(&held->mutex)->load(), kDied | kWaiters);
}

FACT(leaves_neighbour, "at a death the word beside a robust one, in the same 8 bytes, is left as it is") {
  Held* held = make_held();
  const pid_t child = start_holder(held);
  Word* word = word_of(&held->mutex);
  Word* beside = reinterpret_cast<Word*>(reinterpret_cast<uintptr_t>(word) ^ sizeof(Word));
  beside->store(~0u);
  kill_and_reap(child);
  EXPECT_EQ(word->load(), kDied);
  EXPECT_EQ(beside->load(), ~0u);
}

FACT(exits, "_exit() of one thread marks what the others of the process hold") {
  Held* held = make_held();
  const pid_t child = in_child([=] {
    std::thread([=] {
      hold(held);
      for (;;) pause();
    }).detach();
    UNTIL(held->ready.load() == 1);
  });
  EXPECT_EQ(end_of(child), 0);
  EXPECT_EQ(word_of(&held->mutex)->load(), kDied);
}

FACT(returns, "a thread that returns marks what it holds, while its process goes on") {
  Held* held = make_held();
  std::thread([=] { hold(held); }).join();
  EXPECT_EQ(word_of(&held->mutex)->load(), kDied);
}

FACT(executes, "execve marks what the threads of the process held") {
  Held* held = make_held();
  const pid_t child = in_child([=] {
    hold(held);
    execl("/proc/self/exe", "contract", "sleep", nullptr);
  });
  UNTIL(word_of(&held->mutex)->load() == kDied);
  EXPECT_EQ(waitpid(child, nullptr, WNOHANG), 0);
  kill_and_reap(child);
}

FACT(stopped, "SIGKILL of a stopped process marks what it holds") {
  Held* held = make_held();
  const pid_t child = start_holder(held);
  kill(child, SIGSTOP);
  EXPECT_EQ(waitpid(child, nullptr, WUNTRACED), child);
  kill_and_reap(child);
  EXPECT_EQ(word_of(&held->mutex)->load(), kDied);
}

FACT(wakes_one, "a death wakes one sleeper of a robust word that has WAITERS set") {
  Held* held = make_held();
  const pid_t child = start_holder(held);
  const uint32_t value = word_of(&held->mutex)->fetch_or(kWaiters) | kWaiters;
  start_sleepers(word_of(&held->mutex), value, 3);
  kill_and_reap(child);
  EXPECT_EQ(wake(word_of(&held->mutex), kEveryone), 2);
}

FACT(wakes_none, "a death wakes no sleeper of a robust word without WAITERS") {
  Held* held = make_held();
  const pid_t child = start_holder(held);
  start_sleepers(word_of(&held->mutex), word_of(&held->mutex)->load(), 3);
  kill_and_reap(child);
  EXPECT_EQ(wake(word_of(&held->mutex), kEveryone), 3);
}

FACT(wakes_waitv, "a death ends a futex_waitv of which one word is the robust word") {
  need_waitv();
  struct Both {
    Held held;
    Word other;
  };
  Both* both = shared<Both>();
  make_robust(&both->held.mutex);
  const pid_t child = start_holder(&both->held);
  Word* word = word_of(&both->held.mutex);
  const uint32_t value = word->fetch_or(kWaiters) | kWaiters;
  std::atomic<pid_t> tid{0};
  std::atomic<long> result{-1000};
  std::thread([&] {
    tid.store(own_tid());
    Waited entries[] = {waited(&both->other, 0), waited(word, value)};
    result.store(waitv(entries, 2, nullptr));
    for (;;) pause();
  }).detach();
  UNTIL(tid.load() != 0 && is_asleep_in(tid.load(), SYS_futex_waitv));
  kill_and_reap(child);
  UNTIL(result.load() != -1000);
  EXPECT_EQ(result.load(), 1);
}

FACT(pending, "a word of 0 that list_op_pending points at gets one wake when its thread is killed") {
  struct Pending {
    robust_list entry;
    Word word;
    std::atomic<int> ready;
  };
  Pending* p = shared<Pending>();
  const pid_t child = in_child([=] {
    robust_list_head* head = own_list();
    const auto at = reinterpret_cast<uintptr_t>(&p->word) - static_cast<uintptr_t>(head->futex_offset);
    head->list_op_pending = reinterpret_cast<robust_list*>(at);
    p->ready.store(1);
    for (;;) pause();
  });
  UNTIL(p->ready.load() == 1);
  start_sleepers(&p->word, 0, 3);
  kill_and_reap(child);
  EXPECT_EQ(wake(&p->word, kEveryone), 2);
}

FACT(limit, "of a thread that holds 3000 robust mutexes 2048 are marked") {
  constexpr int kHeld = 3000;
  struct Many {
    pthread_mutex_t mutexes[kHeld];
  };
  Many* many = shared<Many>();
  for (auto& mutex : many->mutexes) make_robust(&mutex);
  const pid_t child = in_child([=] {
    for (auto& mutex : many->mutexes) pthread_mutex_lock(&mutex);
  });
  EXPECT_EQ(end_of(child), 0);
  int marked = 0;
  for (auto& mutex : many->mutexes) marked += word_of(&mutex)->load() == kDied;
  EXPECT_EQ(marked, 2048);
}

FACT(one_list, "each thread has one robust list of its own, which libc has registered") {
  const robust_list_head* own = own_list();
  EXPECT(own != nullptr);
  const robust_list_head* other = nullptr;
  std::thread([&] { other = own_list(); }).join();
  EXPECT(other != nullptr && other != own);
}

FACT(forked, "a forked child neither owns nor releases the robust mutexes of its parent") {
  Held* held = make_held();
  hold(held);
  const pid_t child = in_child([=] { _exit(pthread_mutex_trylock(&held->mutex) == EBUSY ? 3 : 4); });
  EXPECT_EQ(WEXITSTATUS(end_of(child)), 3);
  EXPECT_EQ(word_of(&held->mutex)->load(), own_tid());
}

FACT(unmapped, "a robust word whose mapping is gone when its thread ends is not marked") {
  const int fd = file_of_held();
  Held* held = map_held(fd);
  make_robust(&held->mutex);
  const pid_t child = in_child([=] {
    Held* own = map_held(fd);
    hold(own);
    munmap(own, sizeof(Held));
  });
  EXPECT_EQ(end_of(child), 0);
  EXPECT_EQ(word_of(&held->mutex)->load(), child);
}

FACT(second_mapping, "a robust word is marked by the mapping it was locked through, whatever others are unmapped") {
  const int fd = file_of_held();
  Held* held = map_held(fd);
  make_robust(&held->mutex);
  const pid_t child = in_child([=] {
    Held* other = map_held(fd);
    hold(held);
    munmap(other, sizeof(Held));
  });
  EXPECT_EQ(end_of(child), 0);
  EXPECT_EQ(word_of(&held->mutex)->load(), kDied);
}

FACT(trylock, "trylock of a robust mutex: EBUSY while its owner lives, EOWNERDEAD after, usable again when consistent") {
  Held* held = make_held();
  const pid_t child = start_holder(held);
  EXPECT_EQ(pthread_mutex_trylock(&held->mutex), EBUSY);
  kill_and_reap(child);
  EXPECT_EQ(pthread_mutex_trylock(&held->mutex), EOWNERDEAD);
  EXPECT_EQ(pthread_mutex_consistent(&held->mutex), 0);
  EXPECT_EQ(word_of(&held->mutex)->load() & FUTEX_TID_MASK, own_tid());
  EXPECT_EQ(word_of(&held->mutex)->load() & kDied, 0);
  EXPECT_EQ(pthread_mutex_unlock(&held->mutex), 0);
  EXPECT_EQ(pthread_mutex_trylock(&held->mutex), 0);
}

FACT(waiters_by_hand, "libc unlocks a robust mutex to 0 although somebody else has set WAITERS in it") {
  Held* held = make_held();
  hold(held);
  word_of(&held->mutex)->fetch_or(kWaiters);
  EXPECT_EQ(pthread_mutex_unlock(&held->mutex), 0);
  EXPECT_EQ(word_of(&held->mutex)->load(), 0);
}

FACT(fresh, "the words that are set in a fresh robust mutex are the same while it is held, with waiters, and after a death") {
  constexpr size_t kWords = sizeof(pthread_mutex_t) / sizeof(uint32_t);
  Held* held = make_held();
  uint32_t fresh[kWords];
  memcpy(fresh, &held->mutex, sizeof fresh);
  const auto* words = reinterpret_cast<const Word*>(&held->mutex);
  const auto compare = [&] {
    int set = 0;
    for (size_t i = 0; i < kWords; i++) {
      set += fresh[i] != 0;
      if (fresh[i] != 0) EXPECT_EQ(words[i].load(), fresh[i]);
    }
    EXPECT(set > 0);
  };
  const pid_t child = start_holder(held);
  compare();
  word_of(&held->mutex)->fetch_or(kWaiters);
  compare();
  kill_and_reap(child);
  compare();
  EXPECT_EQ(pthread_mutex_trylock(&held->mutex), EOWNERDEAD);
  compare();
}

FACT(zeros, "robust mutexes of which only the words of a fresh one are written, over zeros, work") {
  constexpr size_t kWords = sizeof(pthread_mutex_t) / sizeof(uint32_t);
  Held* held = shared<Held>();
  pthread_mutex_t sample;
  memset(&sample, 0, sizeof sample);
  make_robust(&sample);
  uint32_t fresh[kWords];
  memcpy(fresh, &sample, sizeof fresh);
  auto* words = reinterpret_cast<Word*>(&held->mutex);
  for (size_t i = 0; i < kWords; i++) {
    if (fresh[i] != 0) words[i].store(fresh[i]);
  }
  kill_and_reap(start_holder(held));
  EXPECT_EQ(pthread_mutex_trylock(&held->mutex), EOWNERDEAD);
}

FACT(oom, "a kill for lack of memory marks what the process holds") {
  // Whose cgroup this process is in is not its business: it is told one in which it may make another.
  const char* parent = getenv("FORKLOCK_CONTRACT_CGROUP");
  if (parent == nullptr) skip("needs a cgroup with the memory controller: FORKLOCK_CONTRACT_CGROUP=/sys/fs/cgroup/...");
  char group[256];
  snprintf(group, sizeof group, "%s/forklock-contract-%d", parent, getpid());
  if (mkdir(group, 0700) != 0) skip_for_error("no cgroup can be made in FORKLOCK_CONTRACT_CGROUP");
  const auto put = [&](const char* file, const char* value) {
    char path[320];
    snprintf(path, sizeof path, "%s/%s", group, file);
    const int fd = open(path, O_WRONLY | O_CLOEXEC);
    const bool written = fd >= 0 && write(fd, value, strlen(value)) == static_cast<ssize_t>(strlen(value));
    const int error = errno;
    if (fd >= 0) close(fd);
    errno = error;
    return written;
  };
  const auto give_up = [&](const char* why) {
    const int error = errno;
    rmdir(group);
    errno = error;
    skip_for_error(why);
  };
  constexpr char kLimit[] = "33554432";  // the names of version 2, and of version 1
  if (!put("memory.max", kLimit) && !put("memory.limit_in_bytes", kLimit)) give_up("that cgroup has no memory controller");
  put("memory.swap.max", "0");
  Held* held = make_held();
  const pid_t child = in_child([=] {
    hold(held);
    while (held->ready.load() != 2) sched_yield();
    for (;;) {
      constexpr size_t kPiece = 1 << 20;
      void* piece = mmap(nullptr, kPiece, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
      memset(piece, 1, kPiece);
    }
  });
  UNTIL(held->ready.load() == 1);
  char pid[16];
  snprintf(pid, sizeof pid, "%d", child);
  if (!put("cgroup.procs", pid)) {
    kill_and_reap(child);
    give_up("no process can be moved into that cgroup");
  }
  held->ready.store(2);
  const int status = end_of(child);
  rmdir(group);
  EXPECT(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
  EXPECT_EQ(word_of(&held->mutex)->load(), kDied);
}
