#include "helpers.h"

#include "leave.h"

#if defined(__x86_64__) && defined(__GLIBC__)

#include <asm/prctl.h>
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
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
#include <cstdio>
#include <cstdlib>
#include <cstring>

#ifndef PR_GET_TID_ADDRESS
#define PR_GET_TID_ADDRESS 40
#endif
#ifndef FUTEX_CMD_MASK
#define FUTEX_CMD_MASK ~(FUTEX_PRIVATE_FLAG | FUTEX_CLOCK_REALTIME)
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

// What the kernel says a thread sleeps in: /proc/<pid>/task/<tid>/syscall, proc(5).
struct Sleep {
  long number = -1;
  unsigned long args[6] = {};
  unsigned long sp = 0;
  unsigned long pc = 0;
};

enum class Role {
  kContinue,  // sleeps until somebody has work for it: the child needs it
  kLeave,     // sleeps, and the child starts its own, or does without
  kBusy
};

}  // namespace

struct Parked {
  pid_t tid = 0;
  Role role = Role::kBusy;
  Sleep sleep;
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
  void* specific[PTHREAD_KEYS_MAX];

  // Written in the child before the thread is continued.
  bool continued = false;
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
  for (pthread_key_t key = 0; key < PTHREAD_KEYS_MAX; key++) {
    if (self->specific[key] != nullptr) pthread_setspecific(key, self->specific[key]);
  }
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
  for (pthread_key_t key = 0; key < PTHREAD_KEYS_MAX; key++) self->specific[key] = pthread_getspecific(key);
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

// Node ends its helper threads only when it takes the platform down on the way out. glibc must not see one of them end:
// its fork has counted them out (one thread left: exit(0); no thread attached to its malloc arena: abort). A destructor
// of thread-specific data runs before all that.
void on_thread_end(void*) { leave_process(); }

bool find_names() {
  current_isolate = reinterpret_cast<TryGetCurrent>(dlsym(RTLD_DEFAULT, "_ZN2v87Isolate13TryGetCurrentEv"));
  // Stable since glibc 2.35; without them no thread is registered, and none has to be.
  const auto* offset = static_cast<const ptrdiff_t*>(dlsym(RTLD_DEFAULT, "__rseq_offset"));
  const auto* size = static_cast<const unsigned*>(dlsym(RTLD_DEFAULT, "__rseq_size"));
  if (offset != nullptr && size != nullptr) rseq_area = {*offset, *size};
  struct sigaction action = {};
  action.sa_sigaction = on_park;
  action.sa_flags = SA_SIGINFO | SA_RESTART;
  sigfillset(&action.sa_mask);
  return sigaction(park_signal(), &action, nullptr) == 0 && pthread_key_create(&end_key, on_thread_end) == 0;
}

bool read_line(pid_t tid, const char* what, char* out, size_t room) {
  char path[64];
  snprintf(path, sizeof path, "/proc/self/task/%d/%s", tid, what);
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  const ssize_t n = read(fd, out, room - 1);
  close(fd);
  out[n > 0 ? n : 0] = 0;
  return n > 0;
}

bool read_sleep(pid_t tid, Sleep* s) {
  char line[256];
  return read_line(tid, "syscall", line, sizeof line) &&
         sscanf(line, "%ld %lx %lx %lx %lx %lx %lx %lx %lx", &s->number, &s->args[0], &s->args[1], &s->args[2],
                &s->args[3], &s->args[4], &s->args[5], &s->sp, &s->pc) == 9;
}

bool blocks_park_signal(pid_t tid) {
  char status[4096];  // all of it is made for the reader, which takes longer than the rest that is asked of a thread
  if (!read_line(tid, "status", status, sizeof status)) return true;
  const char* line = strstr(status, "\nSigBlk:");
  if (line == nullptr) return true;
  return ((strtoull(line + 8, nullptr, 16) >> (park_signal() - 1)) & 1) != 0;
}

// Whether an address is in the static data of the executable or of a library.
bool is_static(unsigned long address) {
  const auto find = [](dl_phdr_info* info, size_t, void* data) {
    const unsigned long at = *static_cast<unsigned long*>(data);
    for (int i = 0; i < info->dlpi_phnum; i++) {
      const ElfW(Phdr)& part = info->dlpi_phdr[i];
      if (part.p_type == PT_LOAD && at - (info->dlpi_addr + part.p_vaddr) < part.p_memsz) return 1;
    }
    return 0;
  };
  return dl_iterate_phdr(find, &address) != 0;
}

// Calls in which libuv's pool sits for files and names. None is made with a lock of libc held; V8's helpers make none.
bool is_plain_io(long number) {
  switch (number) {
    case SYS_read: case SYS_pread64: case SYS_readv: case SYS_preadv: case SYS_preadv2:
    case SYS_write: case SYS_pwrite64: case SYS_writev: case SYS_pwritev: case SYS_pwritev2:
    case SYS_open: case SYS_openat: case SYS_stat: case SYS_lstat: case SYS_fstat: case SYS_newfstatat: case SYS_statx:
    case SYS_access: case SYS_getdents64: case SYS_readlink: case SYS_rename: case SYS_link: case SYS_unlink:
    case SYS_symlink: case SYS_mkdir: case SYS_rmdir: case SYS_truncate: case SYS_ftruncate: case SYS_fsync:
    case SYS_fdatasync: case SYS_sendfile: case SYS_copy_file_range: case SYS_flock: case SYS_utimensat:
    case SYS_poll: case SYS_connect: case SYS_recvfrom: case SYS_recvmsg: case SYS_sendto: case SYS_sendmmsg:
      return true;
    default:
      return false;
  }
}

Role role_of(const Sleep& s) {
  switch (s.number) {
    case SYS_epoll_wait: case SYS_epoll_pwait: case SYS_epoll_pwait2:
      return Role::kContinue;
    case SYS_futex:
      // glibc waits on condition variables and semaphores with FUTEX_WAIT_BITSET; FUTEX_WAIT is a mutex, whose holder
      // is about to wake it. libuv's pool waits on a condition variable in static data, V8's helpers on ones in the
      // heap: the pool is started anew by libuv's own pthread_atfork handler, which would not expect old threads.
      if ((s.args[1] & FUTEX_CMD_MASK) != FUTEX_WAIT_BITSET) return Role::kBusy;
      return is_static(s.args[0]) ? Role::kLeave : Role::kContinue;
    case SYS_futex_waitv:
      return Role::kLeave;  // forklock's waiter thread
    default:
      return is_plain_io(s.number) ? Role::kLeave : Role::kBusy;
  }
}

std::string describe(const Parked& thread) {
  char name[32] = "?";
  if (read_line(thread.tid, "comm", name, sizeof name)) name[strcspn(name, "\n")] = 0;
  return "thread " + std::to_string(thread.tid) + " (" + name + ")";
}

std::vector<pid_t> other_threads() {
  std::vector<pid_t> tids;
  const pid_t self = static_cast<pid_t>(syscall(SYS_gettid));
  DIR* directory = opendir("/proc/self/task");
  if (directory == nullptr) return tids;
  while (const dirent* entry = readdir(directory)) {
    const pid_t tid = atoi(entry->d_name);
    if (tid > 0 && tid != self) tids.push_back(tid);
  }
  closedir(directory);
  return tids;
}

// A thread of ours that sleeps on shared memory, not on a mutex of this process.
bool is_own(const Parked& thread) {
  return strcmp(thread.name, kOwnThread) == 0 &&
         (thread.sleep.number == SYS_futex_waitv ||
          (thread.sleep.number == SYS_futex && (thread.sleep.args[1] & FUTEX_PRIVATE_FLAG) == 0));
}

// Whether threads block the signal that stops them, by tid.
std::map<pid_t, bool>& masks() {
  static std::map<pid_t, bool> known;
  return known;
}

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
    char line[256];
    if (!read_line(static_cast<pid_t>(syscall(SYS_gettid)), "syscall", line, sizeof line)) {
      return "/proc/self/task/*/syscall cannot be read here";
    }
    return find_names() ? nullptr : "no signal is free to stop threads with";
  }();
  return reason;
}

Helpers::Helpers() = default;
Helpers::~Helpers() = default;

bool Helpers::park(int patience, std::string* reason) {
  if (why_no_helpers() != nullptr) {
    *reason = why_no_helpers();
    return false;
  }
  const long start = now_ns();
  const long until = start + static_cast<long>(patience) * 1000000;
  long ask_at = start;
  for (;;) {
    const bool all_asleep = look();
    // Stopping a thread wakes it, so those that are busy are left to finish. But one that runs JavaScript never does, and
    // only says so when it is asked.
    if ((all_asleep && isolates_.empty()) || now_ns() >= ask_at) {
      const Outcome outcome = stop(reason);
      if (outcome == Outcome::kQuiet) return true;
      resume();
      if (outcome == Outcome::kForbidden) return false;
      ask_at = now_ns() + kAskAgain;
    }
    if (now_ns() > until) return false;
    const timespec pause = in_ns(kRetry);
    nanosleep(&pause, nullptr);
  }
}

bool Helpers::look() {
  threads_.clear();
  bool all_asleep = true;
  for (const pid_t tid : other_threads()) {
    std::unique_ptr<Parked> thread(new Parked);  // make_unique would write zeros over all of its stack
    thread->tid = tid;
    if (read_sleep(tid, &thread->sleep)) thread->role = role_of(thread->sleep);
    all_asleep = all_asleep && thread->role != Role::kBusy;
    threads_.push_back(std::move(thread));
  }
  return all_asleep;
}

Helpers::Outcome Helpers::stop(std::string* reason) {
  stop_all();
  const Outcome outcome = check(reason);
  // A thread that appeared meanwhile was started by one that did not sleep.
  if (outcome == Outcome::kQuiet && other_threads().size() != threads_.size()) {
    *reason = "threads come and go";
    return Outcome::kBusy;
  }
  return outcome;
}

void Helpers::stop_all() {
  const uint32_t number = attempt.number.load();
  auto** table = new Parked*[threads_.size() + 1];
  for (size_t i = 0; i < threads_.size(); i++) table[i] = threads_[i].get();
  attempt.answers.store(0);
  attempt.threads.store(table);
  uint32_t asked = 0;
  for (uint32_t i = 0; i < threads_.size(); i++) {
    Parked& thread = *threads_[i];
    // Masks are set when a thread begins. One that has another one by now does not answer, and is asked for it again.
    const auto known = masks().find(thread.tid);
    const bool blocks = known != masks().end() ? known->second : blocks_park_signal(thread.tid);
    masks()[thread.tid] = blocks;
    if (blocks) continue;
    thread.signalled = signal_thread(thread.tid, number, i);
    asked += thread.signalled;
  }
  const long until = now_ns() + kStopWait;
  for (;;) {
    const uint32_t answers = attempt.answers.load();
    if (answers >= asked) return;
    const long left = until - now_ns();
    if (left <= 0) {
      masks().clear();
      return;  // check() finds out whom it matters for
    }
    const timespec timeout = in_ns(left);
    futex(&attempt.answers, FUTEX_WAIT, answers, &timeout);
  }
}

Helpers::Outcome Helpers::check(std::string* reason) {
  Outcome outcome = Outcome::kQuiet;
  for (auto& entry : threads_) {
    Parked& thread = *entry;
    const bool stopped = thread.stopped.load() != 0;
    if (stopped && thread.has_isolate) {
      *reason = describe(thread) + " runs JavaScript: a worker thread cannot be carried over a fork. Terminate the "
                                   "workers first, or start a Process by the fork server, which has none";
      outcome = Outcome::kBusy;
      if (isolates_[thread.tid]++ > kHelperTasks) return Outcome::kForbidden;
      continue;
    }
    if (stopped && is_own(thread)) thread.role = Role::kLeave;
    // The kernel goes back by the instruction when it starts a call again after the handler.
    const bool same = thread.sp == thread.sleep.sp &&
                      (thread.pc == thread.sleep.pc || thread.pc == thread.sleep.pc - kSyscallBytes);
    if (thread.role == Role::kLeave && (!stopped || same)) continue;
    if (thread.role == Role::kContinue && stopped && same && thread.tid_address != nullptr) continue;
    if (thread.role == Role::kContinue && !thread.signalled) {
      // Another thread may have had this tid; and one that was continued a moment ago has yet to get its own mask back.
      masks().erase(thread.tid);
      *reason = describe(thread) + " blocks all signals, so it cannot be carried over a fork";
      outcome = Outcome::kBusy;
      continue;
    }
    if (outcome == Outcome::kQuiet) *reason = describe(thread) + " has not been found asleep for a while. Wait for long calls in libuv's pool "
                                                             "(crypto, zlib, dns) to end, and try again";
    outcome = Outcome::kBusy;
  }
  return outcome;
}

void Helpers::resume() {
  bool all = true;
  for (const auto& thread : threads_) all = all && (!thread->signalled || thread->stopped.load() != 0);
  attempt.number.fetch_add(1);
  Parked** table = attempt.threads.exchange(nullptr);
  attempt.go.fetch_add(1);
  futex(&attempt.go, FUTEX_WAKE, INT_MAX, nullptr);
  if (all) {
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

const char* why_no_helpers() { return "threads can be carried over a fork on x86-64 with glibc only"; }

Helpers::Helpers() = default;
Helpers::~Helpers() = default;

bool Helpers::park(int, std::string* reason) {
  *reason = why_no_helpers();
  return false;
}

void Helpers::resume() {}
int Helpers::revive() { return 0; }

}  // namespace forklock

#endif
