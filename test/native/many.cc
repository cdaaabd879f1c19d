// robust.cc, keepers.cc: threads that hold more words than the kernel marks for one. Each end of a thread or process leaves
// none of its words held, and all of the others'.
#include <linux/futex.h>
#include <pthread.h>
#include <sys/syscall.h>

#include <algorithm>
#include <functional>

#include "../../native/participant.h"
#include "harness.h"

namespace forklock::test {
namespace {

constexpr uint32_t kShareOfOne = 900;  // of a segment's slots, so that two have room in it
constexpr uint32_t kSegments = 4;

struct Stage {
  Segment* segments[kSegments];
  std::atomic<int32_t> ready;
  std::atomic<int32_t> stop;
};

struct Joined {
  Segment* segment;
  uint32_t slot;
};

Stage* fresh_stage() {
  Stage* stage = shared<Stage>();
  for (Segment*& segment : stage->segments) {
    int error = 0;
    segment = create_anonymous(kSingle, 4096, &error);
    CHECK(segment != nullptr);
  }
  return stage;
}

void drop_stage(Stage* stage) {
  for (Segment* segment : stage->segments) drop_user(segment);
  munmap(stage, sizeof *stage);
}

Joined join_one(Segment* segment) {
  const int slot = join(segment);
  if (slot < 0) fail(__FILE__, __LINE__, "join", slot, 0);
  return {segment, static_cast<uint32_t>(slot)};
}

// 3,600: more than a thread's share, and more than one keeper's.
std::vector<Joined> join_all(const Stage* stage) {
  std::vector<Joined> all;
  for (Segment* segment : stage->segments) {
    for (uint32_t i = 0; i < kShareOfOne; i++) all.push_back(join_one(segment));
  }
  return all;
}

bool is_held(const Joined& j) { return !is_gone(alive_word(j.segment, j.slot)->load()); }

long count_held(const Stage* stage) {
  long n = 0;
  for (Segment* segment : stage->segments) {
    for (uint32_t i = 0; i < segment->high(); i++) n += is_held({segment, i});
  }
  return n;
}

constexpr long kAll = kSegments * kShareOfOne;

// In each order, all of them and half of them; what is left is as it was.
void every_order(Random* random) {
  Stage* stage = fresh_stage();
  for (int order = 0; order < 3; order++) {
    std::vector<Joined> all = join_all(stage);
    CHECK_EQUAL(count_held(stage), kAll);
    if (order == 1) std::reverse(all.begin(), all.end());
    if (order == 2) {
      for (size_t i = all.size(); i > 1; i--) std::swap(all[i - 1], all[random->below(i)]);
    }
    for (size_t i = 0; i < all.size(); i++) {
      CHECK(is_held(all[i]));
      leave(all[i].segment, all[i].slot);
      CHECK(!is_held(all[i]));
    }
    CHECK_EQUAL(count_held(stage), 0);
  }
  drop_stage(stage);
}

// A thread that ends without having left, while its process goes on.
void end_of_thread() {
  Stage* stage = fresh_stage();
  const auto hold_all = [](void* argument) -> void* {
    join_all(static_cast<Stage*>(argument));
    pthread_exit(nullptr);
  };
  pthread_t thread;
  CHECK_EQUAL(pthread_create(&thread, nullptr, hold_all, stage), 0);
  CHECK_EQUAL(pthread_join(thread, nullptr), 0);
  CHECK_EQUAL(count_held(stage), 0);
  drop_stage(stage);
}

// Threads that come and go over each other's words, in one process.
void churn(const Options& options) {
  Stage* stage = fresh_stage();
  in_threads(3, [&](int t) {
    Random random(options.seed * 7 + static_cast<uint64_t>(t));
    std::vector<Joined> mine;
    for (int i = 0; i < 4000; i++) {
      if (mine.size() < 1100 || random.one_in(2)) {
        Segment* const segment = stage->segments[random.below(kSegments)];
        const int slot = join(segment);
        if (slot >= 0) mine.push_back({segment, static_cast<uint32_t>(slot)});
        if (slot >= 0 || mine.empty()) continue;
      }
      std::swap(mine[random.below(mine.size())], mine.back());
      CHECK(is_held(mine.back()));
      leave(mine.back().segment, mine.back().slot);
      mine.pop_back();
    }
    for (const Joined& j : mine) leave(j.segment, j.slot);
  });
  CHECK_EQUAL(count_held(stage), 0);
  drop_stage(stage);
}

// A process that holds all is ended, by each way.
void end_of_process() {
  const auto by_kill = [] { kill(getpid(), SIGKILL); };
  const auto by_exit = [] { exit(0); };
  const auto by_quick_exit = [] { _exit(0); };
  const auto by_exec = [] { execl("/bin/true", "true", nullptr); };
  const auto by_exec_of_thread = [] {
    std::thread([] { execl("/bin/true", "true", nullptr); }).detach();
    for (;;) pause();
  };
  const std::function<void()> ways[] = {by_kill, by_exit, by_quick_exit, by_exec, by_exec_of_thread};
  for (const auto& way : ways) {
    Stage* stage = fresh_stage();
    reap(in_child([&] {
           CHECK_EQUAL(join_all(stage).size(), kAll);
           way();
         }),
         SIGKILL);
    CHECK_EQUAL(count_held(stage), 0);
    drop_stage(stage);
  }
}

// A process that is killed anywhere, while words go to its own list and to its keepers' and come back.
void random_kills(const Options& options, double seconds) {
  Random random(options.seed + 11);
  Stage* stage = fresh_stage();
  for (const Clock clock(seconds); clock.running();) {
    stage->ready = 0;
    const uint64_t seed = random.next();
    const pid_t child = in_child([&] {
      Random own(seed);
      std::vector<Joined> mine = join_all(stage);
      stage->ready = 1;
      for (;;) {
        std::swap(mine[own.below(mine.size())], mine.back());
        leave(mine.back().segment, mine.back().slot);
        mine.back() = join_one(mine.back().segment);
      }
    });
    while (stage->ready.load() == 0) pause_for(0.2);
    pause_for(static_cast<double>(random.below(200)) / 100);
    kill(child, SIGKILL);
    reap(child, SIGKILL);
    CHECK_EQUAL(count_held(stage), 0);
  }
  drop_stage(stage);
}

// The child of a fork has none of its parent's words, and keepers of its own; its end is not its parent's.
void forked() {
  Stage* stage = fresh_stage();
  reap(in_child([&] {
    const std::vector<Joined> mine = join_all(stage);
    Stage* others = fresh_stage();
    reap(in_child([&] {
      for (const Joined& j : mine) leave(j.segment, j.slot);  // of what it does not hold
      for (int i = 0; i < 100; i++) join_one(stage->segments[0]);
      join_all(others);
#ifndef __SANITIZE_ADDRESS__  // which looks for its parent's threads there
      exit(0);
#endif
    }));
    CHECK_EQUAL(count_held(others), 0);
    CHECK_EQUAL(count_held(stage), kAll);
    for (const Joined& j : mine) CHECK(is_held(j));
    for (const Joined& j : mine) leave(j.segment, j.slot);
    drop_stage(others);
  }));
  CHECK_EQUAL(count_held(stage), 0);
  drop_stage(stage);
}

}  // namespace

void many(const Options& options) {
  const int descriptors = count_descriptors();
  const int mappings = count_mappings("forklock");
  if (!kThreadsOnly) {  // first: a fork takes no threads along, not even keepers
    end_of_process();
    random_kills(options, options.seconds);
    forked();
  }
  Random random(options.seed);
  every_order(&random);
  end_of_thread();
  churn(options);
  CHECK_EQUAL(count_descriptors(), descriptors);
  CHECK_EQUAL(count_mappings("forklock"), mappings);
}

}  // namespace forklock::test
