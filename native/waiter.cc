#include "waiter.h"

#include <algorithm>
#include <csignal>
#include <linux/futex.h>

#include "fork/helpers.h"
#include "participant.h"

namespace forklock {
namespace {

constexpr unsigned kSyncWatched = 14;    // 0.22 us a word and sleep: beyond this the slice is the safety net
constexpr unsigned kThreadEntries = 60;  // half of a futex_waitv; the rest is for alive words
constexpr uint64_t kMillisecond = 1000000;
constexpr uint64_t kPlainSlice = 50 * kMillisecond;  // without futex_waitv nothing but a look notices a death
// The safety net of futex_waitv: not every participant may fit into it, and of several processes that are killed at
// once one may take another's wake-up with it.
constexpr uint64_t kSlice = 100 * kMillisecond;
// The number of the dead can come back: a newcomer takes a dead one's slot, is seen there, and is killed before it has
// said so (test/model/README.md). So where somebody has died, who waits for deaths looks again after this time.
constexpr uint64_t kDoubt = 500 * kMillisecond;

// 1 when the process is about to end. Of the process, not of an environment, as that is what ends.
Word ending{0};

struct Slept {
  uint32_t slot;
  int32_t value;
};

int count_dead(const Segment* segment) {
  int dead = 0;
  for (uint32_t i = 0; i < segment->high(); i++) dead += is_gone(alive_word(segment, i)->load());
  return dead;
}

// Whether a participant has died, as opposed to left, whose slot nobody has taken since.
bool has_killed(const Segment* segment) {
  for (uint32_t i = 0; i < segment->high(); i++) {
    if ((static_cast<uint32_t>(alive_word(segment, i)->load()) & FUTEX_OWNER_DIED) != 0) return true;
  }
  return false;
}

// Whether what the caller looked at may have changed already, apart from the word, which the kernel compares.
bool is_stale(const Watch& w) {
  if (w.segment->header()->members.load() != w.members) return true;
  if (w.owner >= 0 && static_cast<uint32_t>(w.owner) < w.segment->high() &&
      is_gone(alive_word(w.segment, static_cast<uint32_t>(w.owner))->load())) {
    return true;
  }
  return w.dead >= 0 && count_dead(w.segment) != w.dead;
}

// Threads of this process are not watched: the kernel wakes one sleeper of a dead thread's word, and when the whole
// process is killed that may be one of its own threads, which takes the wake-up with it. A thread that ends alone
// leaves its slot, and that wakes everybody (participant.cc).
bool is_watched(const Segment* segment, uint32_t slot) {
  return segment->own[slot].load() == 0 && !is_gone(alive_word(segment, slot)->load());
}

// The participants to watch besides the word itself: the owner first, then everybody who may have been woken for us
// and then have died. Dead ones are left out: is_stale comes after this, and sees an end that the caller did not.
unsigned choose_watched(const Watch& w, Slept* out, unsigned room) {
  unsigned n = 0;
  const uint32_t high = w.segment->high();
  const auto watch = [&](uint32_t slot) {
    if (is_watched(w.segment, slot)) out[n++] = {slot, alive_word(w.segment, slot)->load()};
  };
  if (w.owner >= 0 && static_cast<uint32_t>(w.owner) < high) watch(static_cast<uint32_t>(w.owner));
  for (uint32_t i = 0; i < high && n < room; i++) {
    if (static_cast<int>(i) != w.owner) watch(i);
  }
  return n;
}

}  // namespace

void end_sleeps() {
  ending.store(1);
  futex_wake(&ending, kEveryone);
}

void sleep_on(const Watch& w, double ms) {
  const int32_t now_ending = ending.load();
  if (now_ending != 0) ms = std::min(ms, 1.0);
  const uint64_t until = monotonic_ns() + static_cast<uint64_t>(ms * kMillisecond);
  if (!has_waitv()) {
    if (!is_stale(w)) futex_wait(w.word, w.expected, until);
    return;
  }
  Slept slept[kSyncWatched];
  const unsigned n = choose_watched(w, slept, kSyncWatched);
  if (is_stale(w)) return;
  WaitvEntry entries[3 + kSyncWatched];
  waitv_entry(&entries[0], w.word, w.expected);
  waitv_entry(&entries[1], &w.segment->header()->members, w.members);
  waitv_entry(&entries[2], &ending, now_ending);
  for (unsigned i = 0; i < n; i++) {
    waitv_entry(&entries[3 + i], alive_word(w.segment, slept[i].slot), slept[i].value);
  }
  futex_waitv(entries, 3 + n, until);
  for (unsigned i = 0; i < n; i++) pass_on(w.segment, slept[i].slot, slept[i].value);
}

WaiterThread::WaiterThread(Report report) : report_(std::move(report)) {
  // The program's signal handlers belong on its own threads; a fork must find this one asleep.
  sigset_t all, old;
  sigfillset(&all);
  if (park_signal() > 0) sigdelset(&all, park_signal());
  pthread_sigmask(SIG_SETMASK, &all, &old);
  thread_ = std::thread([this] { run(); });
  pthread_sigmask(SIG_SETMASK, &old, nullptr);
}

WaiterThread::~WaiterThread() {
  stop_.store(true);
  ring();
  thread_.join();
}

void WaiterThread::ring() {
  control_.fetch_add(1);
  futex_wake(&control_, 1);
}

bool WaiterThread::add(uint32_t id, const Watch& watch) {
  {
    std::lock_guard<std::mutex> guard(mutex_);
    // Without futex_waitv a thread can sleep on one word only.
    if (entries_.size() >= (has_waitv() ? kThreadEntries : 1)) return false;
    entries_.push_back({id, watch, SegmentUse(watch.segment), monotonic_ns()});
  }
  ring();
  return true;
}

bool WaiterThread::remove(uint32_t id) {
  std::lock_guard<std::mutex> guard(mutex_);
  const auto it = std::find_if(entries_.begin(), entries_.end(), [id](const Entry& e) { return e.id == id; });
  if (it == entries_.end()) return false;
  entries_.erase(it);
  ring();
  return true;
}

void WaiterThread::run() {
  pthread_setname_np(pthread_self(), kOwnThread);
  while (!stop_.load()) {
    const int32_t control = control_.load();
    std::vector<Entry> entries;
    {
      std::lock_guard<std::mutex> guard(mutex_);
      entries = entries_;
    }
    watched_.clear();
    if (entries.empty()) {
      futex_wait(&control_, control, 0);  // ends with add() or the destructor
    } else if (has_waitv()) {
      sleep_for_all(entries, control);
    } else {
      sleep_for_one(entries.front());
    }
    give_back_wakes(entries);
    report_changed();
  }
}

void WaiterThread::sleep_for_all(const std::vector<Entry>& entries, int32_t control) {
  std::vector<WaitvEntry> words(kMaxWaitv);
  unsigned n = 0;
  waitv_entry(&words[n++], &control_, control);
  std::vector<Segment*> segments;
  for (const Entry& e : entries) {
    waitv_entry(&words[n++], e.watch.word, e.watch.expected);
    if (std::find(segments.begin(), segments.end(), e.watch.segment) == segments.end()) {
      segments.push_back(e.watch.segment);
    }
  }
  const auto watch = [&](Segment* segment, uint32_t slot) {
    if (n >= kMaxWaitv || !is_watched(segment, slot)) return;
    for (const Alive& a : watched_) {
      if (a.segment == segment && a.slot == slot) return;
    }
    const int32_t alive = alive_word(segment, slot)->load();
    watched_.push_back({segment, slot, alive});
    waitv_entry(&words[n++], alive_word(segment, slot), alive);
  };
  for (const Entry& e : entries) {
    if (e.watch.owner < 0 || static_cast<uint32_t>(e.watch.owner) >= e.watch.segment->high()) continue;
    watch(e.watch.segment, static_cast<uint32_t>(e.watch.owner));
  }
  for (Segment* segment : segments) {
    if (n < kMaxWaitv) {
      for (const Entry& e : entries) {
        if (e.watch.segment == segment) {
          waitv_entry(&words[n++], &segment->header()->members, e.watch.members);
          break;  // an entry with an older value is stale, and reported before the next sleep
        }
      }
    }
    for (uint32_t i = 0; i < segment->high(); i++) watch(segment, i);
  }
  for (const Entry& e : entries) {
    if (is_stale(e.watch)) return;
  }
  futex_waitv(words.data(), n, monotonic_ns() + kSlice);
  for (const Alive& a : watched_) pass_on(a.segment, a.slot, a.value);
}

void WaiterThread::sleep_for_one(const Entry& entry) {
  const Watch& w = entry.watch;
  if (is_stale(w)) return;
  futex_wait(w.word, w.expected, monotonic_ns() + kPlainSlice);
}

// A wait that was cancelled stays in the kernel's queue until this thread has returned from its sleep, and a wake-up
// that was meant for one who still waits may have gone to it. Another one for nothing does no harm.
void WaiterThread::give_back_wakes(const std::vector<Entry>& slept_on) {
  std::vector<Word*> cancelled;
  {
    std::lock_guard<std::mutex> guard(mutex_);
    for (const Entry& e : slept_on) {
      const auto same = [&e](const Entry& other) { return other.id == e.id; };
      if (std::none_of(entries_.begin(), entries_.end(), same)) cancelled.push_back(e.watch.word);
    }
  }
  for (Word* word : cancelled) futex_wake(word, 1);
}

void WaiterThread::report_changed() {
  std::vector<uint32_t> done;
  const uint64_t now = monotonic_ns();
  {
    std::lock_guard<std::mutex> guard(mutex_);
    for (size_t i = 0; i < entries_.size();) {
      const Watch& w = entries_[i].watch;
      const bool in_doubt = w.dead >= 0 && now - entries_[i].since >= kDoubt && has_killed(w.segment);
      // Whatever there is to do shows in the word, in who is there, or (nearly always) in who is dead. A wake-up that changed nothing
      // is nobody's business: the word says again what it said, so whoever changes it next wakes somebody.
      if (in_doubt || w.word->load() != w.expected || is_stale(w)) {
        done.push_back(entries_[i].id);
        entries_.erase(entries_.begin() + static_cast<std::ptrdiff_t>(i));
      } else {
        i++;
      }
    }
  }
  for (const uint32_t id : done) report_(id);
}

void Waiters::add(uint32_t id, const Watch& watch) {
  for (auto& thread : threads_) {
    if (thread->add(id, watch)) return;
  }
  threads_.push_back(std::make_unique<WaiterThread>(report_));
  threads_.back()->add(id, watch);
}

void Waiters::abandon() {
  for (auto& thread : threads_) thread.release();
  threads_.clear();
}

bool Waiters::remove(uint32_t id) {
  for (auto& thread : threads_) {
    if (thread->remove(id)) return true;
  }
  return false;
}

}  // namespace forklock
