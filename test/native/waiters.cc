// waiter.cc: environments (here: threads) submit and cancel waits on words that threads of several processes change.
// Each wait ends in exactly one way: reported, cancelled, or dropped by the end of its environment.
#include "../../native/waiter.h"

#include <condition_variable>
#include <deque>
#include <map>

#include "../../native/participant.h"
#include "../../native/robust.h"
#include "harness.h"

namespace forklock::test {
namespace {

constexpr int kEnvironments = 3;
constexpr int kProcesses = 2;
constexpr uint32_t kWords = 16;
constexpr uint32_t kFirstWord = kHeapOffset / 4;

struct Board {
  std::atomic<int64_t> given;
  std::atomic<int64_t> taken;
  std::atomic<int32_t> closed;  // no more tokens come
  std::atomic<int32_t> busy;    // environments that are not done
  std::atomic<int32_t> stop;
};

// As an environment of the addon has it: reports come on the waiter threads, and are looked at on this one.
class Ready {
 public:
  void push(uint32_t id) {
    std::lock_guard<std::mutex> guard(mutex_);
    ids_.push_back(id);
    some_.notify_one();
  }

  bool pop(uint32_t* id, std::chrono::milliseconds patience) {
    std::unique_lock<std::mutex> guard(mutex_);
    // A deadline of the system's clock: gcc's ThreadSanitizer knows no pthread_cond_clockwait.
    const auto until = std::chrono::system_clock::now() + patience;
    if (!some_.wait_until(guard, until, [this] { return !ids_.empty(); })) return false;
    *id = ids_.front();
    ids_.pop_front();
    return true;
  }

 private:
  std::mutex mutex_;
  std::condition_variable some_;
  std::deque<uint32_t> ids_;
};

Watch watch_of(Segment* segment, Word* word, int32_t expected) {
  return {segment, word, expected, segment->header()->members.load(), -1, -1};
}

Segment* fresh_segment() {
  int error = 0;
  Segment* segment = create_anonymous(kSingle, 4096, &error);
  CHECK(segment != nullptr);
  return segment;
}

// Random submissions and cancellations, while others change the words, join, leave and die.
void environment(Segment* segment, Board* board, Random random) {
  Ready ready;
  Waiters waiters([&ready](uint32_t id) { ready.push(id); });
  std::map<uint32_t, Word*> pending;
  uint32_t last_id = 0;
  const auto reported = [&](uint32_t id) { CHECK_EQUAL(pending.erase(id), 1); };
  uint32_t id;
  while (board->stop.load() == 0) {
    // Past 60 waits there is a second thread (without futex_waitv: one for each).
    const size_t limit = has_waitv() ? 150 : 8;
    if (pending.size() < limit && !random.one_in(4)) {
      Word* word = segment->word(kFirstWord + static_cast<uint32_t>(random.below(kWords)));
      waiters.add(++last_id, watch_of(segment, word, word->load()));
      pending[last_id] = word;
    }
    if (!pending.empty() && random.one_in(4)) {
      auto at = pending.lower_bound(static_cast<uint32_t>(random.below(last_id + 1)));
      if (at == pending.end()) at = pending.begin();
      // False: the report is on its way.
      if (waiters.remove(at->first)) pending.erase(at);
    }
    if (random.one_in(3)) {
      Word* word = segment->word(kFirstWord + static_cast<uint32_t>(random.below(kWords)));
      word->fetch_add(1);
      futex_wake(word, random.one_in(2) ? 1 : kEveryone);
    }
    if (random.one_in(64)) {
      const int slot = join(segment);
      CHECK(slot >= 0);
      leave(segment, static_cast<uint32_t>(slot));
    }
    while (ready.pop(&id, std::chrono::milliseconds(0))) reported(id);
  }
  if (random.one_in(2)) {
    // All change: nobody may be left over.
    while (!pending.empty()) {
      for (const auto& entry : pending) {
        entry.second->fetch_add(1);
        futex_wake(entry.second, kEveryone);
      }
      if (ready.pop(&id, std::chrono::milliseconds(10))) reported(id);
    }
  }
  waiters.stop();
  while (ready.pop(&id, std::chrono::milliseconds(0))) reported(id);
}

void every_wait_ends_once(const Options& options, double seconds) {
  Segment* segment = fresh_segment();
  Board* board = shared<Board>();
  std::vector<pid_t> children;
  for (int p = 0; p < kProcesses; p++) {
    children.push_back(in_child([&] {
      in_threads(kEnvironments, [&](int t) {
        environment(segment, board, Random(options.seed * 100 + static_cast<uint64_t>(p * kEnvironments + t)));
      });
      drop_user(segment);
      CHECK_EQUAL(count_mappings("memfd:forklock"), 0);
    }));
  }
  Random random(options.seed);
  for (const Clock clock(seconds); clock.running();) {
    // Somebody who dies as a participant: a reason to look again for those that sleep on the segment.
    reap(in_child([&] {
           CHECK(join(segment) >= 0);
           pause_for(static_cast<double>(random.below(3)));
           kill(getpid(), SIGKILL);
         }),
         SIGKILL);
  }
  board->stop = 1;
  for (const pid_t child : children) reap(child);
  drop_user(segment);
}

bool take(Word* tokens) {
  for (int32_t now = tokens->load(); now > 0;) {
    if (tokens->compare_exchange_weak(now, now - 1)) return true;
  }
  return false;
}

// Takers that sleep through waiter threads, and takers that block: each token that is given is taken once.
void async_taker(Segment* segment, Board* board, Random random) {
  Ready ready;
  Waiters waiters([&ready](uint32_t id) { ready.push(id); });
  Word* tokens = segment->word(kFirstWord);
  std::vector<bool> waiting(has_waitv() ? 70 : 4, false);
  const auto look = [&](uint32_t id) {
    while (take(tokens)) board->taken++;
    if (!waiting[id]) waiters.add(id, watch_of(segment, tokens, 0));
    waiting[id] = true;
  };
  for (uint32_t id = 0; id < waiting.size(); id++) look(id);
  while (board->closed.load() == 0 || tokens->load() > 0) {
    uint32_t id;
    if (ready.pop(&id, std::chrono::milliseconds(5))) {
      CHECK(waiting[id]);
      waiting[id] = false;
      look(id);
    }
    // A cancelled wait must not take a wake-up with it.
    id = static_cast<uint32_t>(random.below(waiting.size()));
    if (waiting[id] && waiters.remove(id)) {
      waiting[id] = false;
      look(id);
    }
  }
  board->busy--;
}

void sync_taker(Segment* segment, Board* board, double slice) {
  Word* tokens = segment->word(kFirstWord);
  while (board->closed.load() == 0 || tokens->load() > 0) {
    if (take(tokens)) board->taken++;
    else sleep_on(watch_of(segment, tokens, 0), slice);
  }
  board->busy--;
}

void every_token_is_taken(const Options& options, double seconds) {
  Segment* segment = fresh_segment();
  Board* board = shared<Board>();
  board->busy = 3 * 3;
  std::vector<pid_t> children;
  for (int p = 0; p < 3; p++) {
    children.push_back(in_child([&] {
      in_threads(3, [&](int t) {
        if (t == 0) async_taker(segment, board, Random(options.seed + static_cast<uint64_t>(p)));
        else sync_taker(segment, board, options.plain ? 50 : 1000);
      });
    }));
  }
  Random random(options.seed + 17);
  Word* tokens = segment->word(kFirstWord);
  for (const Clock clock(seconds); clock.running();) {
    const auto n = static_cast<int32_t>(1 + random.below(3));
    tokens->fetch_add(n);
    board->given += n;
    futex_wake(tokens, n);
    if (random.one_in(16)) pause_for(1);
  }
  // All of them, without another wake-up for the tokens.
  while (tokens->load() > 0) pause_for(0.1);
  board->closed = 1;
  while (board->busy.load() > 0) {
    futex_wake(tokens, kEveryone);
    pause_for(1);
  }
  for (const pid_t child : children) reap(child);
  CHECK_EQUAL(board->taken.load(), board->given.load());
  drop_user(segment);
}

// A wait that names an owner ends with it, in whatever way that ends.
void ends_of_owners(const Options& options, double seconds) {
  Random random(options.seed + 3);
  for (const Clock clock(seconds); clock.running();) {
    struct Stage {
      std::atomic<int32_t> slot;
      std::atomic<int32_t> watching;
      Word never;
    };
    Segment* segment = fresh_segment();
    Stage* stage = shared<Stage>();
    stage->slot = -1;
    const bool killed = random.one_in(2);
    const pid_t owner = in_child([&] {
      stage->slot = join(segment);
      while (stage->watching.load() < 2) pause_for(0.1);
      if (!killed) leave(segment, static_cast<uint32_t>(stage->slot.load()));
      for (;;) pause();
    });
    while (stage->slot.load() < 0) pause_for(0.1);
    std::vector<pid_t> children;
    for (int p = 0; p < 2; p++) {
      children.push_back(in_child([&] {
        Ready ready;
        Waiters waiters([&ready](uint32_t id) { ready.push(id); });
        Watch watch = watch_of(segment, &stage->never, 0);
        watch.owner = stage->slot.load();
        waiters.add(1, watch);
        stage->watching++;
        uint32_t id = 0;
        while (!ready.pop(&id, std::chrono::seconds(10))) {
        }
        CHECK_EQUAL(id, 1);
      }));
    }
    while (killed && stage->watching.load() < 2) pause_for(0.1);
    if (killed) kill(owner, SIGKILL);
    for (const pid_t child : children) reap(child);
    kill(owner, SIGKILL);
    reap(owner, SIGKILL);
    munmap(stage, sizeof *stage);
    drop_user(segment);
  }
}

uint32_t digest_of_living(const Segment* segment) {
  uint32_t digest = 0;
  for (uint32_t i = 0; i < segment->high(); i++) {
    if (!is_gone(alive_word(segment, i)->load())) digest += mix_of(name_of(segment, i));
  }
  return digest & kDigest;
}

// As test/units/living.test.ts has them for JavaScript.
void the_same_numbers() {
  CHECK_EQUAL(mix_of(1), 0x3cf0cdbc);
  CHECK_EQUAL(mix_of(0x801), 0x1b7158a5);
  CHECK_EQUAL(mix_of(0x7ffffbff), 0x58c0cf94);
  CHECK_EQUAL(mix_of(0x12345678), 0x63e8dbd9);
}

// A newcomer has taken the slot of one that died, and is stopped before it has said so. As many live as before, in the
// same slots: a wait for deaths is reported all the same, and one that has seen the newcomer is not.
void others_live() {
  Segment* segment = fresh_segment();
  Word* taken = shared<Word>();
  const auto dies = [&] {
    join(segment);
    *taken = 1;
    for (;;) pause();
  };
  const pid_t former = in_child(dies);
  while (taken->load() == 0) pause_for(0.1);
  Ready ready;
  Waiters waiters([&ready](uint32_t id) { ready.push(id); });
  Watch before = watch_of(segment, segment->word(kFirstWord), 0);
  before.living = static_cast<int>(digest_of_living(segment));
  waiters.add(1, before);
  uint32_t id = 0;
  CHECK(!ready.pop(&id, std::chrono::milliseconds(300)));
  CHECK(waiters.remove(1));
  kill(former, SIGKILL);
  reap(former, SIGKILL);
  const pid_t newcomer = in_child([&] {
    CHECK(hold(alive_word(segment, 0)));
    *taken = 2;
    for (;;) pause();
  });
  while (taken->load() == 1) pause_for(0.1);
  Watch after = before;
  after.living = static_cast<int>(digest_of_living(segment));
  CHECK_EQUAL(after.members, segment->header()->members.load());
  CHECK(after.living != before.living);
  waiters.add(2, before);
  waiters.add(3, after);
  CHECK(ready.pop(&id, std::chrono::seconds(10)));
  CHECK_EQUAL(id, 2);
  CHECK(!ready.pop(&id, std::chrono::milliseconds(300)));
  sleep_on(before, 1e7);  // returns at once
  kill(newcomer, SIGKILL);
  CHECK(ready.pop(&id, std::chrono::seconds(10)));
  CHECK_EQUAL(id, 3);
  reap(newcomer, SIGKILL);
  munmap(taken, sizeof *taken);
  drop_user(segment);
}

// Environments that come and go leave no thread, no descriptor and no mapping.
void nothing_stays(const Options& options, double seconds) {
  Random random(options.seed + 9);
  const int descriptors = count_descriptors();
  const int mappings = count_mappings("memfd:forklock");
  std::thread([] {}).join();  // a sanitizer starts a thread of its own with the first
  const int threads = count_threads();
  for (const Clock clock(seconds); clock.running();) {
    Segment* segment = fresh_segment();
    {
      Ready ready;
      Waiters waiters([&ready](uint32_t id) { ready.push(id); });
      const auto n = static_cast<uint32_t>(random.below(has_waitv() ? 130 : 5));
      for (uint32_t id = 0; id < n; id++) waiters.add(id, watch_of(segment, segment->word(kFirstWord), 0));
      if (random.one_in(2)) {
        segment->word(kFirstWord)->store(1);
        futex_wake(segment->word(kFirstWord), kEveryone);
      }
      // The segment is closed while waits use it: its pages stay until they have ended.
      drop_user(segment);
    }
    CHECK_EQUAL(count_mappings("memfd:forklock"), mappings);
    CHECK_EQUAL(count_descriptors(), descriptors);
    // One that has been joined stays in /proc for a moment.
    for (const Clock patience(10); count_threads() > threads;) CHECK(patience.running());
  }
}

// The child of a fork has none of the waiter threads, and makes its own.
void after_a_fork() {
  Segment* segment = fresh_segment();
  Ready ready;
  auto* waiters = new Waiters([&ready](uint32_t id) { ready.push(id); });
  uint32_t id = 0;
  // A report, so that the thread is there; it then sleeps for ever, and holds nothing.
  Word* word = segment->word(kFirstWord);
  waiters->add(1, watch_of(segment, word, 1));
  while (!ready.pop(&id, std::chrono::seconds(10))) {
  }
  pause_for(20);
  reap(in_child([&] {
    waiters->abandon();
    waiters->add(2, watch_of(segment, word, 0));
    word->store(1);
    futex_wake(word, kEveryone);
    while (!ready.pop(&id, std::chrono::seconds(10))) {
    }
    CHECK_EQUAL(id, 2);
    delete waiters;
  }));
  delete waiters;
  drop_user(segment);
}

// At the end of a process nobody sleeps on.
void the_end() {
  reap(in_child([] {
    Segment* segment = fresh_segment();
    std::atomic<int> asleep{0};
    std::thread ender([&] {
      while (asleep.load() < 4) pause_for(0.1);
      pause_for(2);
      end_sleeps();
    });
    in_threads(4, [&](int) {
      asleep++;
      if (has_waitv()) sleep_on(watch_of(segment, segment->word(kFirstWord), 0), 1e7);
    });
    ender.join();
    sleep_on(watch_of(segment, segment->word(kFirstWord), 0), 1e7);
  }));
}

}  // namespace

void waiters(const Options& options) {
  the_same_numbers();
  the_end();
  every_wait_ends_once(options, options.seconds / 4);
  every_token_is_taken(options, options.seconds / 4);
  ends_of_owners(options, options.seconds / 4);
  nothing_stays(options, options.seconds / 4);
  if (!kThreadsOnly) after_a_fork();
  if (!kThreadsOnly) others_live();
}

}  // namespace forklock::test
