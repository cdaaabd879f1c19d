// What futexes and futex_waitv do.
#include <sched.h>
#include <sys/wait.h>

#include <cerrno>
#include <initializer_list>
#include <thread>

#include "futex.h"

using namespace contract;

namespace {

struct Words {
  Word words[200];
};

constexpr unsigned kMost = 128;
const timespec kPast = {0, 1};

struct Sleeping {
  std::atomic<pid_t> tid{0};
  std::atomic<long> result{-1000};
};

// A thread that sleeps on n words of 0. Back when it sleeps.
Sleeping* sleep_on_many(Words* w, unsigned n) {
  auto* sleeping = new Sleeping;
  std::thread([=] {
    sleeping->tid.store(own_tid());
    Waited entries[kMost];
    for (unsigned i = 0; i < n; i++) entries[i] = waited(&w->words[i], 0);
    sleeping->result.store(waitv(entries, n, nullptr));
    for (;;) pause();
  }).detach();
  UNTIL(sleeping->tid.load() != 0 && is_asleep_in(sleeping->tid.load(), SYS_futex_waitv));
  return sleeping;
}

void nothing(int) {}

void handle_with(int signal, int flags) {
  struct sigaction action = {};
  action.sa_handler = nothing;
  action.sa_flags = flags;
  sigaction(signal, &action, nullptr);
}

}  // namespace

FACT(empty, "futex_waitv with no words is EINVAL where the call exists") {
  need_waitv();
  EXPECT_EQ(waitv(nullptr, 0, nullptr), -EINVAL);
}

FACT(most, "futex_waitv sleeps on 128 words, and is woken by the last of them") {
  need_waitv();
  Words* w = shared<Words>();
  Sleeping* sleeping = sleep_on_many(w, kMost);
  EXPECT_EQ(wake(&w->words[kMost - 1], 1), 1);
  UNTIL(sleeping->result.load() != -1000);
  EXPECT_EQ(sleeping->result.load(), kMost - 1);
}

FACT(too_many, "futex_waitv refuses 129 words with EINVAL") {
  need_waitv();
  Words* w = shared<Words>();
  Waited entries[kMost + 1];
  for (unsigned i = 0; i <= kMost; i++) entries[i] = waited(&w->words[i], 1);
  EXPECT_EQ(waitv(entries, kMost + 1, nullptr), -EINVAL);
  EXPECT_EQ(waitv(entries, kMost, nullptr), -EAGAIN);
}

FACT(sizes, "futex_waitv takes words of 32 bits only") {
  need_waitv();
  Words* w = shared<Words>();
  for (const uint32_t size : {0u, 1u, 3u}) {
    Waited entry = waited(&w->words[0], 1);
    entry.flags = size;
    EXPECT_EQ(waitv(&entry, 1, &kPast), -EINVAL);
  }
}

FACT(differs, "futex_waitv returns EAGAIN at once when any of its words differs") {
  need_waitv();
  Words* w = shared<Words>();
  Waited entries[] = {waited(&w->words[0], 0), waited(&w->words[1], 0), waited(&w->words[2], 7)};
  EXPECT_EQ(waitv(entries, 3, nullptr), -EAGAIN);
}

FACT(absolute_v, "the deadline of futex_waitv is a moment of CLOCK_MONOTONIC: a past one ends it at once") {
  need_waitv();
  Words* w = shared<Words>();
  Waited entry = waited(&w->words[0], 0);
  EXPECT_EQ(waitv(&entry, 1, &kPast), -ETIMEDOUT);
  const long long start = now_ns();
  const long long at = start + 20'000'000;
  const timespec until = {static_cast<time_t>(at / 1'000'000'000), static_cast<long>(at % 1'000'000'000)};
  EXPECT_EQ(waitv(&entry, 1, &until), -ETIMEDOUT);
  EXPECT(now_ns() >= at);
}

FACT(absolute, "the deadline of FUTEX_WAIT_BITSET is a moment of CLOCK_MONOTONIC: a past one ends it at once") {
  Words* w = shared<Words>();
  const auto sleep = [=](const timespec* until) {
    return syscall(SYS_futex, &w->words[0], FUTEX_WAIT_BITSET, 0, until, nullptr, FUTEX_BITSET_MATCH_ANY) == 0 ? 0 : errno;
  };
  EXPECT_EQ(sleep(&kPast), ETIMEDOUT);
  const long long at = now_ns() + 20'000'000;
  const timespec until = {static_cast<time_t>(at / 1'000'000'000), static_cast<long>(at % 1'000'000'000)};
  EXPECT_EQ(sleep(&until), ETIMEDOUT);
  EXPECT(now_ns() >= at);
}

FACT(two_mappings, "a shared futex wakes through another mapping of its page, and in another process") {
  const int fd = static_cast<int>(syscall(SYS_memfd_create, "contract", 0));
  EXPECT_EQ(ftruncate(fd, 4096), 0);
  const auto map = [=] { return static_cast<Word*>(mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)); };
  Word* one = map();
  Word* other = map();
  EXPECT(one != other);
  const pid_t child = in_child([=] {
    Word* own = map();
    _exit(wait(own, 0) == 0 ? 5 : 6);
  });
  UNTIL(is_asleep_in(child, SYS_futex));
  start_sleepers(one, 0, 1);
  EXPECT_EQ(wake(other, kEveryone), 2);
  EXPECT_EQ(WEXITSTATUS(end_of(child)), 5);
}

FACT(private_is_apart, "a private wake does not reach who sleeps on the word as a shared one") {
  Words* w = shared<Words>();
  start_sleepers(&w->words[0], 0, 1);
  EXPECT_EQ(syscall(SYS_futex, &w->words[0], FUTEX_WAKE_PRIVATE, kEveryone, nullptr, nullptr, 0), 0);
  EXPECT_EQ(wake(&w->words[0], kEveryone), 1);
}

FACT(plain_wakes_v, "FUTEX_WAKE wakes who sleeps on the word in futex_waitv and in FUTEX_WAIT alike") {
  need_waitv();
  Words* w = shared<Words>();
  start_sleepers(&w->words[0], 0, 1);
  sleep_on_many(w, 3);
  EXPECT_EQ(wake(&w->words[0], kEveryone), 2);
}

FACT(forgets_killed, "a sleeper that is killed is no longer in the queue of its futex: no wake is spent on it") {
  Words* w = shared<Words>();
  const pid_t first = in_child([=] { wait(&w->words[0], 0); });
  UNTIL(is_asleep_in(first, SYS_futex));
  const pid_t second = in_child([=] { _exit(wait(&w->words[0], 0) == 0 ? 5 : 6); });
  UNTIL(is_asleep_in(second, SYS_futex));
  kill_and_reap(first);
  EXPECT_EQ(wake(&w->words[0], 1), 1);
  EXPECT_EQ(WEXITSTATUS(end_of(second)), 5);
}

FACT(forgets_killed_v, "a futex_waitv that is killed is in none of its queues any more") {
  need_waitv();
  Words* w = shared<Words>();
  const pid_t child = in_child([=] {
    Waited entries[] = {waited(&w->words[0], 0), waited(&w->words[1], 0)};
    waitv(entries, 2, nullptr);
  });
  UNTIL(is_asleep_in(child, SYS_futex_waitv));
  kill_and_reap(child);
  EXPECT_EQ(wake(&w->words[0], kEveryone) + wake(&w->words[1], kEveryone), 0);
}

FACT(two_wakes, "two wakes on two words may meet the same sleeper of a futex_waitv: who is woken looks at all of them") {
  need_waitv();
  // The waker has the only CPU of both until it is through.
  cpu_set_t cpu;
  CPU_ZERO(&cpu);
  CPU_SET(sched_getcpu(), &cpu);
  EXPECT_EQ(sched_setaffinity(0, sizeof cpu, &cpu), 0);
  Words* w = shared<Words>();
  Sleeping* sleeping = sleep_on_many(w, 2);
  const sched_param priority = {1};
  if (sched_setscheduler(0, SCHED_FIFO, &priority) != 0) skip_for_error("needs SCHED_FIFO to keep the sleeper from running");
  const long first = wake(&w->words[0], 1);
  const long second = wake(&w->words[1], 1);
  const sched_param none = {0};
  sched_setscheduler(0, SCHED_OTHER, &none);
  EXPECT_EQ(first, 1);
  EXPECT_EQ(second, 1);
  UNTIL(sleeping->result.load() != -1000);
  EXPECT(sleeping->result.load() == 0 || sleeping->result.load() == 1);
}

FACT(signals, "a signal handler without SA_RESTART ends FUTEX_WAIT and futex_waitv with EINTR") {
  need_waitv();
  handle_with(SIGUSR1, 0);
  Words* w = shared<Words>();
  const pid_t plain = in_child([=] { _exit(wait(&w->words[0], 0) == -EINTR ? 5 : 6); });
  const pid_t many = in_child([=] {
    Waited entry = waited(&w->words[0], 0);
    _exit(waitv(&entry, 1, nullptr) == -EINTR ? 5 : 6);
  });
  UNTIL(is_asleep_in(plain, SYS_futex) && is_asleep_in(many, SYS_futex_waitv));
  kill(plain, SIGUSR1);
  kill(many, SIGUSR1);
  EXPECT_EQ(WEXITSTATUS(end_of(plain)), 5);
  EXPECT_EQ(WEXITSTATUS(end_of(many)), 5);
}

FACT(stop_and_continue, "SIGSTOP and SIGCONT leave who sleeps on a futex asleep on it") {
  Words* w = shared<Words>();
  const pid_t child = in_child([=] { _exit(wait(&w->words[0], 0) == 0 ? 5 : 6); });
  UNTIL(is_asleep_in(child, SYS_futex));
  kill(child, SIGSTOP);
  EXPECT_EQ(waitpid(child, nullptr, WUNTRACED), child);
  kill(child, SIGCONT);
  EXPECT_EQ(waitpid(child, nullptr, WCONTINUED), child);
  UNTIL(wake(&w->words[0], 1) == 1);
  EXPECT_EQ(WEXITSTATUS(end_of(child)), 5);
}
