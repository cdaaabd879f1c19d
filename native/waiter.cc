#include "waiter.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <linux/futex.h>

#include "caught.h"
#include "fork/helpers.h"
#include "participant.h"

namespace forklock {
namespace {

constexpr unsigned kSyncWatched = 14;    // 0.22 us a word and sleep: beyond this the slice is the safety net
constexpr unsigned kThreadEntries = 60;  // half of a futex_waitv; the rest is for alive words
constexpr size_t kStack = 256 * 1024;    // of a waiter thread: as usual it would take 8 MiB of address space
constexpr uint64_t kMillisecond = 1000000;
constexpr uint64_t kPlainSlice = 50 * kMillisecond;  // without futex_waitv nothing but a look notices a death
// The safety net of futex_waitv: not every participant may fit into it, and of several processes that are killed at
// once one may take another's wake-up with it.
constexpr uint64_t kSlice = 100 * kMillisecond;

// 1 when the process is about to end. Of the process, not of an environment, as that is what ends.
Word ending{0};

struct Slept {
  uint32_t slot;
  int32_t value;
};

// Threads of this process are not watched: the kernel wakes one sleeper of a dead thread's word, and when the whole
// process is killed that may be one of its own threads, which takes the wake-up with it. A thread that ends alone
// leaves its slot, and that wakes everybody (participant.cc).
bool is_own(const Segment* segment, uint32_t slot) { return segment->own[slot].load() != 0; }

bool names_owner(const Watch& w) { return w.owner >= 0 && static_cast<uint32_t>(w.owner) < w.segment->high(); }

// Whether others live than when the caller began to look.
bool is_other_than_seen(const Watch& w, uint32_t digest) {
  return w.segment->header()->members.load() != w.members ||
         (w.living >= 0 && (digest & kDigest) != static_cast<uint32_t>(w.living));
}

struct Look {
  unsigned watched;
  bool stale;  // what the caller looked at may have changed, apart from the word, which the kernel compares
};

// The participants to watch besides the word itself: the owner first, then everybody who may have been woken for us
// and then have died. Each alive word is read once, for this and for what is stale: between two reads a newcomer could
// take a slot that was free, and who comes unseen is not watched.
Look look(const Watch& w, Slept* out, unsigned room) {
  Look seen = {0, false};
  uint32_t digest = 0;
  const auto see = [&](uint32_t slot) {
    const int32_t alive = alive_word(w.segment, slot)->load();
    if (is_gone(alive)) return false;
    digest += mix_of(name_of(w.segment, slot));
    if (seen.watched < room && !is_own(w.segment, slot)) out[seen.watched++] = {slot, alive};
    return true;
  };
  if (names_owner(w)) seen.stale = !see(static_cast<uint32_t>(w.owner));
  const uint32_t high = w.segment->high();
  for (uint32_t i = 0; i < high && (w.living >= 0 || seen.watched < room); i++) {
    if (static_cast<int>(i) != w.owner) see(i);
  }
  seen.stale |= is_other_than_seen(w, digest);
  return seen;
}

bool is_stale(const Watch& w) { return look(w, nullptr, 0).stale; }

// A look costs about what a slice of a blocked thread does, so not each slice has one.
bool is_time_to_look() {
  thread_local uint32_t slices = 0;
  return ++slices % 5 == 0;
}

// After a sleep that nothing ended: one other participant in turn, and who matters most, may have died unmarked.
void look_for_unmarked(const Segment* segment, int owner) {
  thread_local uint32_t turn = 0;
  const uint32_t high = segment->high();
  if (owner >= 0) mark_if_gone(segment, static_cast<uint32_t>(owner));
  if (high > 0) mark_if_gone(segment, turn++ % high);
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
    if (is_stale(w) || futex_wait(w.word, w.expected, until) != -ETIMEDOUT) return;
    if (is_time_to_look()) look_for_unmarked(w.segment, w.owner);
    return;
  }
  Slept slept[kSyncWatched];
  const auto [n, stale] = look(w, slept, kSyncWatched);
  if (stale) return;
  WaitvEntry entries[3 + kSyncWatched];
  waitv_entry(&entries[0], w.word, w.expected);
  waitv_entry(&entries[1], &w.segment->header()->members, w.members);
  waitv_entry(&entries[2], &ending, now_ending);
  for (unsigned i = 0; i < n; i++) {
    waitv_entry(&entries[3 + i], alive_word(w.segment, slept[i].slot), slept[i].value);
  }
  if (futex_waitv(entries, 3 + n, until) == -ETIMEDOUT && is_time_to_look()) look_for_unmarked(w.segment, w.owner);
  for (unsigned i = 0; i < n; i++) pass_on(w.segment, slept[i].slot, slept[i].value);
}

WaiterThread::WaiterThread(Report report) : report_(std::move(report)) {
  entries_.reserve(kThreadEntries);
  slept_on_.reserve(kThreadEntries);
  segments_.reserve(kThreadEntries);
  watched_.reserve(kMaxWaitv);
}

int WaiterThread::start() {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, kStack);
  // The program's signal handlers belong on its own threads; a fork must find this one asleep.
  sigset_t all, old;
  sigfillset(&all);
  if (park_signal() > 0) sigdelset(&all, park_signal());
  pthread_sigmask(SIG_SETMASK, &all, &old);
  const int failed = pthread_create(&thread_, &attributes, begin, this);
  pthread_sigmask(SIG_SETMASK, &old, nullptr);
  pthread_attr_destroy(&attributes);
  started_ = failed == 0;
  return -failed;
}

void* WaiterThread::begin(void* self) {
  static_cast<WaiterThread*>(self)->run();
  return nullptr;
}

WaiterThread::~WaiterThread() {
  if (!started_) return;
  stop_.store(true);
  ring();
  pthread_join(thread_, nullptr);
}

void WaiterThread::ring() {
  control_.fetch_add(1);
  futex_wake(&control_, 1);
}

bool WaiterThread::has_room() {
  std::lock_guard<std::mutex> guard(mutex_);
  // Without futex_waitv a thread can sleep on one word only.
  return entries_.size() < (has_waitv() ? kThreadEntries : 1);
}

bool WaiterThread::add(WaitId id, const Watch& watch) {
  if (!has_room()) return false;  // nobody else adds anything
  {
    std::lock_guard<std::mutex> guard(mutex_);
    entries_.push_back({id, watch, SegmentUse(watch.segment)});
  }
  ring();
  return true;
}

bool WaiterThread::remove(WaitId id) {
  std::lock_guard<std::mutex> guard(mutex_);
  const auto it = std::find_if(entries_.begin(), entries_.end(), [id](const Entry& e) { return e.id == id; });
  if (it == entries_.end()) return false;
  entries_.erase(it);
  ring();
  return true;
}

void WaiterThread::remove_all(uint32_t instance) {
  std::lock_guard<std::mutex> guard(mutex_);
  const auto of_instance = [instance](const Entry& e) { return e.id >> 32 == instance; };
  entries_.erase(std::remove_if(entries_.begin(), entries_.end(), of_instance), entries_.end());
  ring();
}

void WaiterThread::run() {
  pthread_setname_np(pthread_self(), kOwnThread);
  while (!stop_.load()) {
    const int32_t control = control_.load();
    {
      std::lock_guard<std::mutex> guard(mutex_);
      slept_on_ = entries_;
    }
    watched_.clear();
    if (slept_on_.empty()) {
      futex_wait(&control_, control, 0);  // ends with add() or the destructor
    } else if (has_waitv()) {
      sleep_for_all(control);
    } else {
      sleep_for_one(slept_on_.front());
    }
    give_back_wakes();
    slept_on_.clear();  // segments that were closed meanwhile go now
    report_changed();
  }
}

void WaiterThread::sleep_for_all(int32_t control) {
  WaitvEntry words[kMaxWaitv];
  unsigned n = 0;
  waitv_entry(&words[n++], &control_, control);
  segments_.clear();
  for (const Entry& e : slept_on_) {
    waitv_entry(&words[n++], e.watch.word, e.watch.expected);
    if (std::find(segments_.begin(), segments_.end(), e.watch.segment) == segments_.end()) {
      segments_.push_back(e.watch.segment);
    }
  }
  // As `look`, for all: whether somebody lives in the slot.
  const auto see = [&](Segment* segment, uint32_t slot) {
    const int32_t alive = alive_word(segment, slot)->load();
    if (is_gone(alive)) return false;
    const auto same = [&](const Alive& a) { return a.segment == segment && a.slot == slot; };
    if (n >= kMaxWaitv || is_own(segment, slot) || std::any_of(watched_.begin(), watched_.end(), same)) return true;
    watched_.push_back({segment, slot, alive});
    waitv_entry(&words[n++], alive_word(segment, slot), alive);
    return true;
  };
  for (const Entry& e : slept_on_) {
    if (names_owner(e.watch) && !see(e.watch.segment, static_cast<uint32_t>(e.watch.owner))) return;
  }
  for (Segment* segment : segments_) {
    if (n < kMaxWaitv) {
      for (const Entry& e : slept_on_) {
        if (e.watch.segment == segment) {
          waitv_entry(&words[n++], &segment->header()->members, e.watch.members);
          break;  // an entry with an older value is stale, and reported before the next sleep
        }
      }
    }
    uint32_t digest = 0;
    for (uint32_t i = 0; i < segment->high(); i++) digest += see(segment, i) ? mix_of(name_of(segment, i)) : 0;
    for (const Entry& e : slept_on_) {
      if (e.watch.segment == segment && is_other_than_seen(e.watch, digest)) return;
    }
  }
  if (futex_waitv(words, n, monotonic_ns() + kSlice) == -ETIMEDOUT) {
    for (Segment* segment : segments_) look_for_unmarked(segment, -1);
    const Watch& one = slept_on_[turn_++ % slept_on_.size()].watch;
    look_for_unmarked(one.segment, one.owner);
  }
  for (const Alive& a : watched_) pass_on(a.segment, a.slot, a.value);
}

void WaiterThread::sleep_for_one(const Entry& entry) {
  const Watch& w = entry.watch;
  if (is_stale(w)) return;
  if (futex_wait(w.word, w.expected, monotonic_ns() + kPlainSlice) == -ETIMEDOUT) look_for_unmarked(w.segment, w.owner);
}

// A wait that was cancelled stays in the kernel's queue until this thread has returned from its sleep, and a wake-up
// that was meant for one who still waits may have gone to it. Another one for nothing does no harm.
void WaiterThread::give_back_wakes() {
  Word* cancelled[kThreadEntries];
  unsigned n = 0;
  {
    std::lock_guard<std::mutex> guard(mutex_);
    for (const Entry& e : slept_on_) {
      const auto same = [&e](const Entry& other) { return other.id == e.id; };
      if (std::none_of(entries_.begin(), entries_.end(), same)) cancelled[n++] = e.watch.word;
    }
  }
  for (unsigned i = 0; i < n; i++) futex_wake(cancelled[i], 1);
}

void WaiterThread::report_changed() {
  WaitId done[kThreadEntries];
  unsigned n = 0;
  {
    std::lock_guard<std::mutex> guard(mutex_);
    for (size_t i = 0; i < entries_.size();) {
      const Watch& w = entries_[i].watch;
      // Whatever there is to do shows in the word, or in who lives. A wake-up that changed nothing is nobody's business:
      // the word says again what it said, so whoever changes it next wakes somebody.
      if (w.word->load() != w.expected || is_stale(w)) {
        done[n++] = entries_[i].id;
        entries_.erase(entries_.begin() + static_cast<std::ptrdiff_t>(i));
      } else {
        i++;
      }
    }
  }
  for (unsigned i = 0; i < n; i++) report_(done[i]);
}

int Waiters::make_room() {
  for (auto& thread : threads_) {
    if (thread->has_room()) return 0;
  }
  return caught([this] {
    auto thread = std::make_unique<WaiterThread>(report_);
    threads_.reserve(threads_.size() + 1);
    const int failed = thread->start();
    if (failed == 0) threads_.push_back(std::move(thread));
    return failed;
  });
}

int Waiters::add(WaitId id, const Watch& watch) {
  const int failed = make_room();
  if (failed != 0) return failed;
  for (auto& thread : threads_) {
    if (thread->add(id, watch)) break;
  }
  return 0;
}

void Waiters::abandon() {
  for (auto& thread : threads_) thread.release();
  threads_.clear();
}

bool Waiters::remove(WaitId id) {
  for (auto& thread : threads_) {
    if (thread->remove(id)) return true;
  }
  return false;
}

void Waiters::remove_all(uint32_t instance) {
  for (auto& thread : threads_) thread->remove_all(instance);
}

}  // namespace forklock
