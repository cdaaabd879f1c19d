#include "helpers.h"

#include "../copies.h"
#include "leave.h"
#include "roll.h"
#include "sleeps.h"

#if defined(__x86_64__) && defined(__GLIBC__)

#include <asm/prctl.h>
#include <dlfcn.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <new>

#ifndef PR_GET_TID_ADDRESS
#define PR_GET_TID_ADDRESS 40
#endif

namespace forklock {

namespace {

constexpr size_t kScratch = 16384;        // stack of a new thread until it is on its own
constexpr long kStopWait = 20 * 1000000;  // ns for all threads to reach the handler
constexpr long kRetry = 100 * 1000;       // ns between two looks at threads that are busy
constexpr long kAskAgain = 10 * 1000000;  // ns between two times that busy threads are stopped
constexpr int kHelperTasks = 5;           // a helper has an isolate too, but only for as long as a task of it takes
constexpr int kSyscallBytes = 2;          // of the instruction
constexpr uint32_t kRseqSignature = 0x53053053;  // glibc's on x86 (<sys/rseq.h>)
constexpr uint32_t kRseqBytes = 32;              // with which it registers (rseq(2))

int futex(std::atomic<uint32_t>* word, int op, uint32_t value, const timespec* timeout) {
  return static_cast<int>(syscall(SYS_futex, word, op | FUTEX_PRIVATE_FLAG, value, timeout, nullptr, 0));
}

}  // namespace

struct Parked {
  pid_t tid = 0;
  Role role = Role::kBusy;
  Sleep sleep;
  bool blocks = false;  // the signal that stops threads
  bool signalled = false;

  // Written by the thread itself, in the handler.
  std::atomic<uint32_t> stopped{0};
  bool has_isolate = false;
  unsigned long sp = 0;
  unsigned long pc = 0;
  ucontext_t here;
  unsigned long tls = 0;
  int* tid_address = nullptr;
  void* robust = nullptr;
  size_t robust_bytes = 0;
  char name[16] = {};
  // Written when all are known to be asleep.
  void* roll = nullptr;
  bool has_loop = false;
  // Written in the child before the thread is continued.
  bool continued = false;

  // Thread-specific data. Of these two only what is used is ever touched: each page is one more to copy at a fork.
  uint32_t specifics = 0;
  struct {
    pthread_key_t key;
    void* value;
  } specific[PTHREAD_KEYS_MAX];
  alignas(16) char scratch[kScratch];
};

namespace {

// One attempt at stopping the threads of the process. A signal may arrive late, when its attempt has been given up: it
// carries the attempt's number, and then does nothing. There is one of these because a signal handler has no other way
// to find anything, and one thread of a process at most is in fork().
struct Attempt {
  std::atomic<uint32_t> number{0};
  std::atomic<uint32_t> answers{0};
  std::atomic<Parked**> threads{nullptr};
  std::atomic<uint32_t> go{0};
} attempt;

using TryGetCurrent = void* (*)();
TryGetCurrent current_isolate = nullptr;

struct Rseq {
  ptrdiff_t offset = 0;
  unsigned size = 0;
} rseq_area;

pthread_key_t end_key;

// Restores what the kernel keeps for a thread and does not give to a new one.
void take_up(Parked* self) {
  syscall(SYS_set_robust_list, self->robust, self->robust_bytes);
  if (rseq_area.size > 0) {  // glibc registers each thread so that sched_getcpu needs no system call
    syscall(SYS_rseq, reinterpret_cast<char*>(self->tls) + rseq_area.offset, kRseqBytes, 0, kRseqSignature);
  }
  prctl(PR_SET_NAME, self->name);
  // glibc's fork empties the thread-specific data of all other threads, which it takes for dead.
  for (uint32_t i = 0; i < self->specifics; i++) pthread_setspecific(self->specific[i].key, self->specific[i].value);
  pthread_setspecific(end_key, self);
}

void stop_here(Parked* self, uint32_t go, const ucontext_t* interrupted) {
  self->sp = static_cast<unsigned long>(interrupted->uc_mcontext.gregs[REG_RSP]);
  self->pc = static_cast<unsigned long>(interrupted->uc_mcontext.gregs[REG_RIP]);
  self->has_isolate = current_isolate != nullptr && current_isolate() != nullptr;
  syscall(SYS_arch_prctl, ARCH_GET_FS, &self->tls);
  prctl(PR_GET_TID_ADDRESS, &self->tid_address);
  syscall(SYS_get_robust_list, 0, &self->robust, &self->robust_bytes);
  prctl(PR_GET_NAME, self->name);
  for (pthread_key_t key = 0; key < PTHREAD_KEYS_MAX; key++) {
    void* value = pthread_getspecific(key);
    if (value != nullptr) self->specific[self->specifics++] = {key, value};
  }
  getcontext(&self->here);  // comes back a second time, in the child
  if (self->continued) {
    take_up(self);
    return;
  }
  self->stopped.store(1);
  attempt.answers.fetch_add(1);
  futex(&attempt.answers, FUTEX_WAKE, 1, nullptr);
  while (attempt.go.load() == go) futex(&attempt.go, FUTEX_WAIT, go, nullptr);
}

void on_park(int, siginfo_t* info, void* context) {
  const int saved = errno;
  const auto call = reinterpret_cast<uintptr_t>(info->si_value.sival_ptr);
  const uint32_t go = attempt.go.load();  // before the number: resume() changes them in the other order
  Parked** threads = attempt.threads.load();
  if (info->si_code == SI_QUEUE && info->si_pid == getpid() && threads != nullptr &&
      static_cast<uint32_t>(call >> 32) == attempt.number.load()) {
    stop_here(threads[call & 0xffffffff], go, static_cast<ucontext_t*>(context));
  }
  errno = saved;
}

// A new kernel thread, on its scratch stack, goes to where the old one stood: back in stop_here.
int go_back(void* thread) {
  setcontext(&static_cast<Parked*>(thread)->here);
  return 0;
}

// glibc must not see one of them end: its fork has counted them out (one thread left: exit(0); no thread attached to its malloc
// arena: abort). A destructor of thread-specific data runs before all that. Node ends its helper threads only when it takes the
// platform down on the way out. But a thread with a loop of its own may be that of a `timeout` of node:vm, which ends with
// the call: then the kernel ends it, and tells who joins it.
void on_thread_end(void* thread) {
  if (static_cast<Parked*>(thread)->has_loop) syscall(SYS_exit, 0);
  leave_process();
}

bool listen_for_park() {
  struct sigaction action = {};
  action.sa_sigaction = on_park;
  action.sa_flags = SA_SIGINFO | SA_RESTART;
  sigfillset(&action.sa_mask);
  return sigaction(park_signal(), &action, nullptr) == 0;
}

bool find_names() {
  current_isolate = reinterpret_cast<TryGetCurrent>(dlsym(RTLD_DEFAULT, "_ZN2v87Isolate13TryGetCurrentEv"));
  // Stable since glibc 2.35; without them no thread is registered, and none has to be.
  const auto* offset = static_cast<const ptrdiff_t*>(dlsym(RTLD_DEFAULT, "__rseq_offset"));
  const auto* size = static_cast<const unsigned*>(dlsym(RTLD_DEFAULT, "__rseq_size"));
  if (offset != nullptr && size != nullptr) rseq_area = {*offset, *size};
  // Not those of another copy: what is late for an attempt of one does nothing in one of another.
  attempt.number.store(static_cast<uint32_t>(reinterpret_cast<uintptr_t>(&attempt)));
  return listen_for_park() && pthread_key_create(&end_key, on_thread_end) == 0;
}

// Whether threads block the signal that stops them, by tid.
std::map<pid_t, bool>& masks() {
  static std::map<pid_t, bool> known;
  return known;
}

// Records of earlier attempts. Freed, they would be written to, and so copied, once more after the fork.
std::vector<std::unique_ptr<Parked>>& unused() {
  static std::vector<std::unique_ptr<Parked>> records;
  return records;
}

std::unique_ptr<Parked> make_record() {
  if (unused().empty()) return std::unique_ptr<Parked>(new Parked);  // make_unique would write zeros over all of its stack
  Parked* const again = unused().back().release();
  unused().pop_back();
  return std::unique_ptr<Parked>(new (again) Parked);
}

// What the kernel denies a process that may know secrets of another user (prctl(2), PR_SET_DUMPABLE).
bool is_dumpable() { return prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 1; }

timespec in_ns(long ns) { return {ns / 1000000000, ns % 1000000000}; }

long now_ns() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000 + t.tv_nsec;
}

// rt_tgsigqueueinfo(2): to one thread, with a value.
bool signal_thread(pid_t tid, uint32_t number, uint32_t index) {
  siginfo_t info = {};
  info.si_code = SI_QUEUE;
  info.si_pid = getpid();
  info.si_uid = getuid();
  info.si_value.sival_ptr = reinterpret_cast<void*>(static_cast<uintptr_t>(number) << 32 | index);
  return syscall(SYS_rt_tgsigqueueinfo, getpid(), tid, park_signal(), &info) == 0;
}

}  // namespace

int park_signal() {
  static const int chosen = first_copy().choose_park_signal();
  return chosen;
}

int choose_park_signal() {
  static const int chosen = [] {
    for (int signal = SIGRTMAX; signal >= SIGRTMIN; signal--) {
      struct sigaction now;
      if (sigaction(signal, nullptr, &now) == 0 && now.sa_handler == SIG_DFL) return signal;
    }
    return SIGRTMAX;
  }();
  return chosen;
}

const char* why_no_helpers() {
  static const char* const reason = []() -> const char* {
    int* address = nullptr;
    if (prctl(PR_GET_TID_ADDRESS, &address) != 0 || address == nullptr) {
      return "this kernel does not tell a thread's tid address (CONFIG_CHECKPOINT_RESTORE)";
    }
    if (!has_roll()) return "this C library does not tell its list of threads";
    return find_names() ? nullptr : "no signal is free to stop threads with";
  }();
  static std::atomic<bool> can_read{false};
  if (reason != nullptr || can_read.load()) return reason;
  const int failed = can_read_sleeps();
  can_read.store(failed == 0);
  // For want of a descriptor or memory nothing is known: the fork itself will say so.
  const bool is_known = failed != 0 && failed != -EMFILE && failed != -ENFILE && failed != -ENOMEM;
  return is_known && is_dumpable() ? "/proc/self/task/*/syscall cannot be read here" : nullptr;
}

const char* why_no_helpers_now() {
  if (why_no_helpers() != nullptr) return why_no_helpers();
  if (can_read_sleeps() != -EACCES) return nullptr;
  return "this process has changed its user (setuid), or node has file capabilities: then the kernel shows "
         "/proc/self/task/*/syscall to root only, and what the other threads do cannot be seen. Fork before that, or start "
         "a Process by the fork server or by spawn, or start node with --single-threaded --v8-pool-size=1";
}

Helpers::Helpers() = default;
Helpers::~Helpers() { forget_all(); }

void Helpers::forget_all() {
  for (auto& thread : threads_) {
    if (thread != nullptr) unused().push_back(std::move(thread));  // else it is with a thread of this child
  }
  threads_.clear();
}

int Helpers::park(int patience, std::string* reason) {
  if (why_no_helpers_now() != nullptr) {
    *reason = why_no_helpers_now();
    return -EAGAIN;
  }
  listen_for_park();  // another copy of the addon may have forked since
  const long start = now_ns();
  const long until = start + static_cast<long>(patience) * 1000000;
  long ask_at = start;
  for (;;) {
    bool all_asleep = true;
    const int failed = look(&all_asleep);
    if (failed != 0) return failed;
    // Stopping a thread wakes it, so those that are busy are left to finish. But one that runs JavaScript never does, and
    // only says so when it is asked.
    if ((all_asleep && isolates_.empty()) || now_ns() >= ask_at) {
      stop_all();
      if (is_quiet()) return 0;
      resume();
      if (is_forbidden(reason)) return -EAGAIN;
      ask_at = now_ns() + kAskAgain;
    }
    if (now_ns() > until) return -EAGAIN;
    const timespec pause = in_ns(kRetry);
    nanosleep(&pause, nullptr);
  }
}

int Helpers::look(bool* all_asleep) {
  forget_all();
  std::vector<pid_t> tids;
  const int failed = other_threads(&tids);
  if (failed != 0) return failed;
  for (const pid_t tid : tids) {
    std::unique_ptr<Parked> thread = make_record();
    thread->tid = tid;
    if (read_sleep(tid, &thread->sleep)) thread->role = role_of(thread->sleep);
    thread->has_loop = is_poll(thread->sleep);
    *all_asleep = *all_asleep && thread->role != Role::kBusy;
    threads_.push_back(std::move(thread));
  }
  return 0;
}

// From the first signal until all threads are known to be asleep, or go on, nothing here may allocate or free: a thread
// that was busy may be stopped anywhere, in malloc with its lock for one.
void Helpers::stop_all() {
  const uint32_t number = attempt.number.load();
  const size_t n = threads_.size();
  std::unique_ptr<Parked*[]> made(new Parked*[n + 1]);
  Parked** const table = made.get();
  for (size_t i = 0; i < n; i++) {
    Parked& thread = *threads_[i];
    table[i] = &thread;
    // Masks are set when a thread begins. One that has another one by now does not answer, and is asked for it again.
    const auto known = masks().try_emplace(thread.tid, false);
    if (known.second) known.first->second = blocks_signal(thread.tid, park_signal());
    thread.blocks = known.first->second;
  }
  isolates_found_.clear();
  isolates_found_.reserve(n);
  finding_ = {};
  attempt.answers.store(0);
  attempt.threads.store(made.release());
  uint32_t asked = 0;
  for (uint32_t i = 0; i < n; i++) {
    Parked& thread = *threads_[i];
    if (!thread.blocks) thread.signalled = signal_thread(thread.tid, number, i);
    asked += thread.signalled;
  }
  const long until = now_ns() + kStopWait;
  for (;;) {
    const uint32_t answers = attempt.answers.load();
    if (answers >= asked) return;
    const long left = until - now_ns();
    if (left <= 0) return;  // is_quiet() finds out whom it matters for
    const timespec timeout = in_ns(left);
    futex(&attempt.answers, FUTEX_WAIT, answers, &timeout);
  }
}

bool Helpers::is_quiet() {
  for (auto& entry : threads_) {
    Parked& thread = *entry;
    const bool stopped = thread.stopped.load() != 0;
    if (stopped && thread.has_isolate) {
      isolates_found_.push_back(thread.tid);
      finding_ = {Obstacle::kRunsJavaScript, thread.tid};
      continue;
    }
    const bool is_own = strcmp(thread.name, kOwnThread) == 0 && waits_on_shared_memory(thread.sleep);
    if (stopped && is_own) thread.role = Role::kLeave;
    // The kernel goes back by the instruction when it starts a call again after the handler.
    const bool same = thread.sp == thread.sleep.sp &&
                      (thread.pc == thread.sleep.pc || thread.pc == thread.sleep.pc - kSyscallBytes);
    if (thread.role == Role::kLeave && (!stopped || same)) continue;
    if (thread.role == Role::kContinue && stopped && same && thread.tid_address != nullptr) continue;
    if (thread.role == Role::kContinue && !thread.signalled) {
      finding_ = {Obstacle::kBlocksSignals, thread.tid};
    } else if (finding_.obstacle == Obstacle::kNone) {
      finding_ = {Obstacle::kBusy, thread.tid};
    }
  }
  if (finding_.obstacle != Obstacle::kNone) return false;
  // All sleep now. A thread that appeared meanwhile was started by one that did not.
  std::vector<pid_t> tids;
  if (other_threads(&tids) != 0 || tids.size() != threads_.size()) {
    finding_.obstacle = Obstacle::kThreadsComeAndGo;
    return false;
  }
  for (auto& thread : threads_) {
    if (thread->role != Role::kContinue) continue;
    thread->roll = roll_of(thread->tls);
    if (thread->roll == nullptr) finding_ = {Obstacle::kUnknownToLibc, thread->tid};
  }
  return finding_.obstacle == Obstacle::kNone;
}

bool Helpers::is_forbidden(std::string* reason) {
  // A thread that was to answer and did not may have another signal mask by now.
  if (!all_answered_) masks().clear();
  switch (finding_.obstacle) {
    case Obstacle::kRunsJavaScript:
      *reason = describe_thread(finding_.tid) +
                " runs JavaScript: a worker thread, or the one of a loader (--import tsx), cannot be carried over a fork. "
                "Terminate the workers first, or start a Process by the fork server, which has none";
      break;
    case Obstacle::kBlocksSignals:
      // Another thread may have had this tid; and one that was continued a moment ago has yet to get its own mask back.
      masks().erase(finding_.tid);
      *reason = describe_thread(finding_.tid) + " blocks all signals, so it cannot be carried over a fork";
      break;
    case Obstacle::kUnknownToLibc:
      *reason = describe_thread(finding_.tid) +
                " was not started by the C library, whose calls for all threads (setuid) would not reach it in the child";
      break;
    case Obstacle::kBusy:
      *reason = describe_thread(finding_.tid) +
                " has not been found asleep for a while. Wait for long calls in libuv's pool (crypto, zlib, dns) to end, "
                "and try again";
      break;
    default:
      *reason = "threads come and go";
  }
  bool forbidden = false;
  for (const pid_t tid : isolates_found_) forbidden = isolates_[tid]++ > kHelperTasks || forbidden;
  return forbidden;
}

void Helpers::resume() {
  all_answered_ = true;
  for (const auto& thread : threads_) all_answered_ = all_answered_ && (!thread->signalled || thread->stopped.load() != 0);
  attempt.number.fetch_add(1);
  Parked** table = attempt.threads.exchange(nullptr);
  attempt.go.fetch_add(1);
  futex(&attempt.go, FUTEX_WAKE, INT_MAX, nullptr);
  if (all_answered_) {
    delete[] table;
    return;
  }
  // Somebody may still be on its way into the handler with this attempt's records: they stay for ever.
  for (auto& thread : threads_) thread.release();
  threads_.clear();
}

int Helpers::revive() {
  attempt.number.fetch_add(1);
  attempt.threads.store(nullptr);
  constexpr int kLikePthreads = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM |
                                CLONE_SETTLS | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID;
  for (auto& entry : threads_) {
    Parked* thread = entry.release();  // the thread comes back to its record, whenever it is scheduled
    if (thread->role != Role::kContinue) continue;
    thread->continued = true;
    enroll(thread->tls, thread->roll);
    // glibc keeps the tid in its own record of the thread: as long as it is set there, the stack counts as in use.
    const int tid = clone(go_back, thread->scratch + kScratch, kLikePthreads, thread, thread->tid_address,
                          reinterpret_cast<void*>(thread->tls), thread->tid_address);
    if (tid < 0) return -errno;
  }
  threads_.clear();
  return 0;
}

}  // namespace forklock

#else

namespace forklock {

struct Parked {};

int park_signal() { return 0; }
int choose_park_signal() { return 0; }

const char* why_no_helpers() { return "threads can be carried over a fork on x86-64 with glibc only"; }
const char* why_no_helpers_now() { return why_no_helpers(); }

Helpers::Helpers() = default;
Helpers::~Helpers() = default;

int Helpers::park(int, std::string* reason) {
  *reason = why_no_helpers();
  return -EAGAIN;
}

void Helpers::resume() {}
int Helpers::revive() { return 0; }

}  // namespace forklock

#endif
