// futex.cc: every wake-up is counted, between threads and between processes that map the words at other addresses.
#include "../../native/futex.h"

#include <sys/mman.h>

#include "harness.h"

namespace forklock::test {
namespace {

constexpr int kThreads = 4;
constexpr int kProcesses = 3;
constexpr uint64_t kMs = 1000000;

struct Board {
  Word words[4];
  std::atomic<int64_t> woken;     // what the wakers were told
  std::atomic<int64_t> returned;  // sleeps that say that they were woken
  std::atomic<int32_t> stop;
  std::atomic<int32_t> asleep;  // threads that have not ended yet
};

int sleep_on_word(Word* word, int32_t expected, uint64_t until, bool vector) {
  if (!vector) return futex_wait(word, expected, until);
  WaitvEntry entry;
  waitv_entry(&entry, word, expected);
  return futex_waitv(&entry, 1, until);
}

void sleeper(Board* board, Random random) {
  while (board->stop.load() == 0) {
    Word* word = &board->words[random.below(4)];
    const int32_t seen = word->load();
    const uint64_t until = random.one_in(4) ? monotonic_ns() + random.below(kMs) : 0;
    const int r = sleep_on_word(word, seen, until, has_waitv() && random.one_in(2));
    CHECK(r == 0 || r == -EAGAIN || r == -EINTR || (r == -ETIMEDOUT && until != 0));
    if (r == -ETIMEDOUT) CHECK(monotonic_ns() >= until);
    if (r == 0) board->returned++;
  }
  board->asleep--;
}

void waker(Board* board, Random random, double seconds) {
  for (const Clock clock(seconds); clock.running();) {
    Word* word = &board->words[random.below(4)];
    if (random.one_in(2)) word->fetch_add(1);
    board->woken += futex_wake(word, random.one_in(2) ? 1 : kEveryone);
  }
}

// The kernel says how many it woke, and a sleep says whether it was: to the last one the numbers are the same.
void every_wake_arrives(const Options& options, double seconds) {
  Board* board = shared<Board>();
  board->asleep = kProcesses * kThreads;
  std::vector<pid_t> children;
  for (int p = 0; p < kProcesses; p++) {
    children.push_back(in_child([&] {
      in_threads(kThreads, [&](int t) {
        sleeper(board, Random(options.seed * 100 + static_cast<uint64_t>(p * kThreads + t)));
      });
    }));
  }
  in_threads(2, [&](int t) { waker(board, Random(options.seed * 7 + static_cast<uint64_t>(t)), seconds); });
  board->stop = 1;
  while (board->asleep.load() > 0) {
    for (Word& word : board->words) board->woken += futex_wake(&word, kEveryone);
  }
  for (const pid_t child : children) reap(child);
  CHECK_EQUAL(board->returned.load(), board->woken.load());
  CHECK(board->returned.load() > 0);
}

// A token that goes round all threads of all processes. Nobody has a timeout: one lost wake-up, and all stand still.
void token_goes_round(double seconds) {
  struct Round {
    Word turn;
    std::atomic<int64_t> steps[kProcesses * kThreads];
    std::atomic<int32_t> stop;
  };
  Round* round = shared<Round>();
  constexpr int kAll = kProcesses * kThreads;
  std::vector<pid_t> children;
  for (int p = 0; p < kProcesses; p++) {
    children.push_back(in_child([&] {
      in_threads(kThreads, [&](int t) {
        const int me = p * kThreads + t;
        for (;;) {
          const int32_t turn = round->turn.load();
          if (turn < 0) return;
          if (turn % kAll != me) {
            sleep_on_word(&round->turn, turn, 0, has_waitv() && turn % 3 == 0);
            continue;
          }
          round->steps[me]++;
          // The end comes at the end of a round, so that all have made as many steps.
          const bool last = me == kAll - 1 && round->stop.load() != 0;
          round->turn.store(last ? -1 : turn + 1);
          futex_wake(&round->turn, kEveryone);
          if (last) return;
        }
      });
    }));
  }
  for (const Clock clock(seconds); clock.running();) pause_for(5);
  round->stop = 1;
  for (const pid_t child : children) reap(child);
  for (const auto& steps : round->steps) CHECK_EQUAL(steps.load(), round->steps[0].load());
  CHECK(round->steps[0].load() > 0);
}

void edges() {
  Word word{5};
  CHECK_EQUAL(futex_wait(&word, 4, 0), -EAGAIN);
  CHECK_EQUAL(futex_wait(&word, 5, 1), -ETIMEDOUT);
  CHECK_EQUAL(futex_wake(&word, kEveryone), 0);
  CHECK_EQUAL(futex_wait(&word, 5, monotonic_ns() + kMs), -ETIMEDOUT);
  WaitvEntry entries[kMaxWaitv + 1];
  for (WaitvEntry& entry : entries) waitv_entry(&entry, &word, 5);
  if (!has_waitv()) return;
  CHECK_EQUAL(futex_waitv(entries, kMaxWaitv, 1), -ETIMEDOUT);
  CHECK_EQUAL(futex_waitv(entries, kMaxWaitv + 1, 1), -EINVAL);
  CHECK_EQUAL(futex_waitv(entries, 0, 1), -EINVAL);
  waitv_entry(&entries[kMaxWaitv - 1], &word, 6);
  CHECK_EQUAL(futex_waitv(entries, kMaxWaitv, 0), -EAGAIN);
  // A negative value is 32 bits wide in the 64 of the entry.
  word.store(-7);
  waitv_entry(&entries[0], &word, -7);
  CHECK_EQUAL(futex_waitv(entries, 1, 1), -ETIMEDOUT);
}

}  // namespace

void futexes(const Options& options) {
  edges();
  every_wake_arrives(options, options.seconds / 2);
  token_goes_round(options.seconds / 2);
}

}  // namespace forklock::test
