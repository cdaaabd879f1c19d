// What lets fork() carry threads into the child (native/fork/helpers.cc, sleeps.cc): a thread that sleeps is stopped in
// a signal handler, the process forks, and a new kernel thread goes on in the child where the old one stood.
#include <features.h>

#if defined(__x86_64__) && defined(__GLIBC__)

#include <asm/prctl.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <ucontext.h>

#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>

#include "robust.h"

#ifndef PR_GET_TID_ADDRESS
#define PR_GET_TID_ADDRESS 40
#endif

using namespace contract;

namespace {

constexpr uint32_t kRseqSignature = 0x53053053;
constexpr uint32_t kRseqBytes = 32;

struct Sleep {
  long number;
  unsigned long args[6];
  unsigned long sp;
  unsigned long pc;
};

bool read_sleep(pid_t tid, Sleep* s) {
  char path[64];
  char line[256] = {};
  snprintf(path, sizeof path, "/proc/self/task/%d/syscall", tid);
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) skip_for_error("/proc/self/task/*/syscall cannot be read here: fork() says so, too");
  const ssize_t n = read(fd, line, sizeof line - 1);
  close(fd);
  return n > 0 && sscanf(line, "%ld %lx %lx %lx %lx %lx %lx %lx %lx", &s->number, &s->args[0], &s->args[1], &s->args[2],
                         &s->args[3], &s->args[4], &s->args[5], &s->sp, &s->pc) == 9;
}

// How a thread sleeps that waits in this function for ever.
template <typename Function>
Sleep sleep_of_thread_in(Function wait) {
  std::atomic<pid_t> tid{0};
  std::thread([&tid, wait] {
    tid.store(own_tid());
    wait();
    for (;;) pause();
  }).detach();
  UNTIL(tid.load() != 0 && is_asleep_in(tid.load(), SYS_futex));
  Sleep s = {};
  EXPECT(read_sleep(tid.load(), &s));
  return s;
}

int* tid_address() {
  int* address = nullptr;
  if (prctl(PR_GET_TID_ADDRESS, &address) != 0) skip_for_error("needs CONFIG_CHECKPOINT_RESTORE; fork() says so, too");
  return address;
}

unsigned long thread_pointer() {
  unsigned long tls = 0;
  syscall(SYS_arch_prctl, ARCH_GET_FS, &tls);
  return tls;
}

struct RobustList {
  void* head = nullptr;
  size_t size = 0;
};

RobustList robust_list_of_thread() {
  RobustList list;
  syscall(SYS_get_robust_list, 0, &list.head, &list.size);
  return list;
}

void* rseq_area() {
  const auto* offset = static_cast<const std::ptrdiff_t*>(dlsym(RTLD_DEFAULT, "__rseq_offset"));
  const auto* size = static_cast<const unsigned*>(dlsym(RTLD_DEFAULT, "__rseq_size"));
  if (offset == nullptr || size == nullptr || *size == 0) return nullptr;
  return reinterpret_cast<char*>(thread_pointer()) + *offset;
}

int register_rseq(void* area) {
  return syscall(SYS_rseq, area, kRseqBytes, 0, kRseqSignature) == 0 ? 0 : errno;
}

// --- one thread that is carried over, and what it saw there -------------------------------------------------------

struct Seen {
  std::atomic<int> done;
  int own_data;           // a thread_local variable
  pid_t tid;              // as the kernel says
  bool same_stack;
  bool robust_was_empty;  // of the new kernel thread
  int rseq_was;           // errno of registering
  bool specific_was_empty;
  pid_t owner;            // what libc takes for the thread's tid
  pthread_mutex_t mutex;
};

struct Carried {
  std::atomic<int> stopped{0};
  std::atomic<uint32_t> go{0};
  bool in_child = false;
  ucontext_t here;
  unsigned long interrupted_sp = 0;
  unsigned long interrupted_pc = 0;
  unsigned long tls = 0;
  int* tid = nullptr;
  RobustList robust;
  alignas(16) char scratch[16384];
} carried;

pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
bool told = false;
pthread_key_t key;
Seen* seen;
thread_local int own_data = 0;

void on_stop(int, siginfo_t*, void* context) {
  const auto* interrupted = static_cast<ucontext_t*>(context);
  carried.interrupted_sp = static_cast<unsigned long>(interrupted->uc_mcontext.gregs[REG_RSP]);
  carried.interrupted_pc = static_cast<unsigned long>(interrupted->uc_mcontext.gregs[REG_RIP]);
  carried.tls = thread_pointer();
  carried.tid = tid_address();
  carried.robust = robust_list_of_thread();
  getcontext(&carried.here);
  if (carried.in_child) {
    seen->robust_was_empty = robust_list_of_thread().head == nullptr;
    syscall(SYS_set_robust_list, carried.robust.head, carried.robust.size);
    seen->rseq_was = rseq_area() == nullptr ? 0 : register_rseq(rseq_area());
    seen->specific_was_empty = pthread_getspecific(key) == nullptr;
    return;
  }
  carried.stopped.store(1);
  while (carried.go.load() == 0) wait(&carried.go, 0);
}

void sleep_and_look() {
  own_data = 42;
  char here = 0;
  pthread_setspecific(key, &here);
  const char* volatile stack = &here;
  pthread_mutex_lock(&mutex);
  while (!told) pthread_cond_wait(&condition, &mutex);
  pthread_mutex_unlock(&mutex);
  if (seen->done.load() != 0) return;
  seen->own_data = own_data;
  seen->tid = own_tid();
  seen->same_stack = stack == &here;
  pthread_mutex_lock(&seen->mutex);
  seen->owner = static_cast<pid_t>(word_of(&seen->mutex)->load() & FUTEX_TID_MASK);
  seen->done.store(1);
  for (;;) pause();
}

int go_back(void*) {
  setcontext(&carried.here);
  return 0;
}

std::atomic<pid_t> sleeper{0};

void handle_stops() {
  struct sigaction action = {};
  action.sa_sigaction = on_stop;
  action.sa_flags = SA_SIGINFO | SA_RESTART;
  sigfillset(&action.sa_mask);
  sigaction(SIGRTMAX, &action, nullptr);
}

pthread_t start_sleeper() {
  pthread_t thread;
  pthread_create(
      &thread, nullptr,
      [](void*) -> void* {
        sleeper.store(own_tid());
        sleep_and_look();
        return nullptr;
      },
      nullptr);
  UNTIL(sleeper.load() != 0 && is_asleep_in(sleeper.load(), SYS_futex));
  return thread;
}

void stop(pid_t tid) {
  syscall(SYS_tgkill, getpid(), tid, SIGRTMAX);
  UNTIL(carried.stopped.load() == 1);
}

int clone_as_thread(int (*function)(void*), void* stack_top, void* argument, unsigned long tls, int* tid) {
  constexpr int kLikePthreads = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM |
                                CLONE_SETTLS | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID;
  return clone(function, stack_top, kLikePthreads, argument, tid, reinterpret_cast<void*>(tls), tid);
}

// Forks with a thread that sleeps on a condition variable, goes on with it in the child, and wakes it there. What the
// child then does is its result.
template <typename Function>
int carry(Function in_the_child) {
  seen = shared<Seen>();
  make_robust(&seen->mutex);
  pthread_key_create(&key, nullptr);
  handle_stops();
  const pthread_t thread = start_sleeper();
  stop(sleeper.load());
  const pid_t child = in_child([&] {
    carried.in_child = true;
    if (clone_as_thread(go_back, carried.scratch + sizeof carried.scratch, nullptr, carried.tls, carried.tid) < 0) _exit(9);
    UNTIL(is_asleep_in(*static_cast<volatile int*>(carried.tid), SYS_futex));
    pthread_mutex_lock(&mutex);
    told = true;
    pthread_cond_signal(&condition);
    pthread_mutex_unlock(&mutex);
    UNTIL(seen->done.load() == 1);
    _exit(in_the_child(thread));
  });
  const int status = end_of(child);
  EXPECT(WIFEXITED(status));
  return WEXITSTATUS(status);
}

int carry() {
  return carry([](pthread_t) { return 5; });
}

}  // namespace

FACT(carried_over, "a thread that sleeps on a condition variable goes on in the child, on its stack and with its own variables") {
  EXPECT_EQ(carry(), 5);
  EXPECT_EQ(seen->own_data, 42);
  EXPECT(seen->same_stack);
  EXPECT(seen->tid != sleeper.load());
}

FACT(tid_in_libc, "CLONE_PARENT_SETTID on the tid address gives libc the tid of the thread that goes on") {
  EXPECT_EQ(carry(), 5);
  EXPECT_EQ(seen->owner, seen->tid);
}

FACT(resumed, "the thread in the parent goes on in its wait when the handler returns") {
  EXPECT_EQ(carry([](pthread_t) { return 5; }), 5);
  carried.go.store(1);
  wake(&carried.go, kEveryone);
  UNTIL(is_asleep_in(sleeper.load(), SYS_futex));
  pthread_mutex_lock(&mutex);
  told = true;
  pthread_cond_signal(&condition);
  pthread_mutex_unlock(&mutex);
  char path[64];
  snprintf(path, sizeof path, "/proc/self/task/%d", sleeper.load());
  UNTIL(access(path, F_OK) != 0);
}

FACT(robust_anew, "a new kernel thread has no robust list; with set_robust_list its locks are marked at its end") {
  EXPECT_EQ(carry(), 5);
  EXPECT(seen->robust_was_empty);
  EXPECT_EQ(word_of(&seen->mutex)->load(), kDied);
}

FACT(rseq_anew, "a new kernel thread is not registered for rseq, and can be, with glibc's area, size and signature") {
  if (rseq_area() == nullptr) skip("this glibc or kernel registers no thread for rseq");
  EXPECT_EQ(register_rseq(rseq_area()), EBUSY);  // these are what it was registered with
  EXPECT_EQ(carry(), 5);
  EXPECT_EQ(seen->rseq_was, 0);
}

FACT(specific_emptied, "glibc's fork empties the thread-specific data of the threads that it takes for dead") {
  EXPECT_EQ(carry(), 5);
  EXPECT(seen->specific_was_empty);
}

FACT(stack_in_use, "libc gives no new thread the stack of one that goes on") {
  const int result = carry([](pthread_t thread) {
    pthread_attr_t attributes;
    void* stack = nullptr;
    size_t bytes = 0;
    pthread_getattr_np(thread, &attributes);
    pthread_attr_getstack(&attributes, &stack, &bytes);
    const auto* low = static_cast<const char*>(stack);
    std::atomic<int> inside{0};
    std::atomic<int> ran{0};
    for (int i = 0; i < 10; i++) {
      std::thread([&] {
        const char here = 0;
        inside += &here >= low && &here < low + bytes;
        ran++;
        for (;;) pause();
      }).detach();
    }
    UNTIL(ran.load() == 10);
    return inside.load() == 0 ? 5 : 6;
  });
  EXPECT_EQ(result, 5);
}

// --- what is known of a thread that sleeps ------------------------------------------------------------------------

FACT(address_of_tid, "PR_GET_TID_ADDRESS tells each thread where libc keeps its tid") {
  const int* own = tid_address();
  EXPECT(own != nullptr);
  EXPECT_EQ(*own, own_tid());
  const int* other = nullptr;
  int value = 0;
  pid_t tid = 0;
  std::thread([&] {
    other = tid_address();
    value = *other;
    tid = own_tid();
  }).join();
  EXPECT(other != own);
  EXPECT_EQ(value, tid);
}

FACT(sleep_line, "/proc/self/task/<tid>/syscall of a sleeping thread has the number, six arguments, sp and pc of its call") {
  const int set = epoll_create1(EPOLL_CLOEXEC);
  std::atomic<pid_t> tid{0};
  epoll_event events[7];
  std::atomic<uintptr_t> stack{0};
  std::thread([&] {
    char here;
    stack.store(reinterpret_cast<uintptr_t>(&here));
    tid.store(own_tid());
    syscall(SYS_epoll_pwait, set, events, 7, -1, nullptr, 8);
    for (;;) pause();
  }).detach();
  Sleep s = {};
  UNTIL(tid.load() != 0 && is_asleep_in(tid.load(), SYS_epoll_pwait));
  EXPECT(read_sleep(tid.load(), &s));
  EXPECT_EQ(s.number, SYS_epoll_pwait);
  EXPECT_EQ(s.args[0], set);
  EXPECT_EQ(s.args[1], reinterpret_cast<uintptr_t>(events));
  EXPECT_EQ(s.args[2], 7);
  EXPECT_EQ(static_cast<int>(s.args[3]), -1);
  EXPECT(s.sp < stack.load() + 65536 && s.sp > stack.load() - 65536);
  // It stands behind a syscall instruction.
  EXPECT_EQ(memcmp(reinterpret_cast<const void*>(s.pc - 2), "\x0f\x05", 2), 0);
}

FACT(busy_line, "/proc/self/task/<tid>/syscall of a thread that runs has no number") {
  std::atomic<pid_t> tid{0};
  std::thread([&] {
    tid.store(own_tid());
    for (;;) tid.load();
  }).detach();
  UNTIL(tid.load() != 0);
  char path[64];
  snprintf(path, sizeof path, "/proc/self/task/%d/syscall", tid.load());
  Sleep s = {};
  EXPECT(!read_sleep(tid.load(), &s));
  char text[16] = {};
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  EXPECT(read(fd, text, sizeof text - 1) > 0);
  close(fd);
  EXPECT_EQ(strcmp(text, "running\n"), 0);
}

FACT(condition_is_bitset, "glibc waits on a condition variable with a private FUTEX_WAIT_BITSET") {
  start_sleeper();
  Sleep s = {};
  EXPECT(read_sleep(sleeper.load(), &s));
  EXPECT_EQ(s.args[1] & FUTEX_CMD_MASK, FUTEX_WAIT_BITSET);
  EXPECT_EQ(s.args[1] & FUTEX_PRIVATE_FLAG, FUTEX_PRIVATE_FLAG);
  EXPECT(s.args[0] >= reinterpret_cast<uintptr_t>(&condition) && s.args[0] < reinterpret_cast<uintptr_t>(&condition + 1));
}

FACT(semaphore_is_bitset, "glibc waits on a semaphore with FUTEX_WAIT_BITSET") {
  static sem_t semaphore;
  sem_init(&semaphore, 0, 0);
  const Sleep s = sleep_of_thread_in([] { sem_wait(&semaphore); });
  EXPECT_EQ(s.args[1] & FUTEX_CMD_MASK, FUTEX_WAIT_BITSET);
}

FACT(mutex_is_wait, "glibc waits for a mutex with FUTEX_WAIT, so that it can be told from a condition variable") {
  pthread_mutex_lock(&mutex);
  const Sleep s = sleep_of_thread_in([] { pthread_mutex_lock(&mutex); });
  EXPECT_EQ(s.args[1] & FUTEX_CMD_MASK, FUTEX_WAIT);
}

FACT(static_data, "dl_iterate_phdr tells static data of the program from its heap") {
  const auto is_static = [](const void* pointer) {
    auto address = reinterpret_cast<uintptr_t>(pointer);
    const auto find = [](dl_phdr_info* info, size_t, void* data) {
      for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr)& part = info->dlpi_phdr[i];
        const uintptr_t at = *static_cast<uintptr_t*>(data) - (info->dlpi_addr + part.p_vaddr);
        if (part.p_type == PT_LOAD && at < part.p_memsz) return 1;
      }
      return 0;
    };
    return dl_iterate_phdr(find, &address) != 0;
  };
  EXPECT(is_static(&condition));
  EXPECT(!is_static(malloc(100)));
  EXPECT(!is_static(malloc(100 << 20)));
}

FACT(restarted_call, "the handler of a signal with SA_RESTART finds a thread in a futex wait at its syscall instruction, sp as before") {
  handle_stops();
  start_sleeper();
  Sleep s = {};
  EXPECT(read_sleep(sleeper.load(), &s));
  stop(sleeper.load());
  EXPECT_EQ(carried.interrupted_sp, s.sp);
  EXPECT_EQ(carried.interrupted_pc, s.pc - 2);
}

FACT(ended_call, "the handler of a signal finds a thread in epoll_wait behind its syscall instruction, SA_RESTART or not") {
  handle_stops();
  const int set = epoll_create1(EPOLL_CLOEXEC);
  std::atomic<int> result{0};
  std::thread([&] {
    sleeper.store(own_tid());
    epoll_event event;
    result.store(epoll_wait(set, &event, 1, -1) < 0 ? errno : -1);
    for (;;) pause();
  }).detach();
  UNTIL(sleeper.load() != 0 && (is_asleep_in(sleeper.load(), SYS_epoll_wait) || is_asleep_in(sleeper.load(), SYS_epoll_pwait)));
  Sleep s = {};
  EXPECT(read_sleep(sleeper.load(), &s));
  stop(sleeper.load());
  EXPECT_EQ(carried.interrupted_sp, s.sp);
  EXPECT_EQ(carried.interrupted_pc, s.pc);
  carried.go.store(1);
  wake(&carried.go, kEveryone);
  UNTIL(result.load() != 0);
  EXPECT_EQ(result.load(), EINTR);
}

// --- glibc's fork -------------------------------------------------------------------------------------------------

FACT(malloc_after_fork, "a child can allocate although other threads of its parent were in malloc") {
  for (int i = 0; i < 2; i++) {
    std::thread([] {
      for (size_t n = 1;; n = n % 5000 + 7) free(malloc(n));
    }).detach();
  }
  for (int i = 0; i < 200; i++) {
    const pid_t child = in_child([] {
      alarm(5);
      void* pieces[50];
      for (auto& piece : pieces) piece = malloc(3000);
      for (auto& piece : pieces) free(piece);
    });
    EXPECT_EQ(end_of(child), 0);
  }
}

FACT(fork_handlers, "fork runs the handlers of pthread_atfork in the child, before it returns there") {
  static int ran = 0;
  pthread_atfork(nullptr, nullptr, [] { ran++; });
  const pid_t child = in_child([] { _exit(ran == 1 ? 5 : 6); });
  EXPECT_EQ(WEXITSTATUS(end_of(child)), 5);
}

FACT(destructor_first, "a destructor of thread-specific data runs before libc sees that the last thread of the process has ended") {
  const pid_t child = in_child([] {
    pthread_key_create(&key, [](void*) { _exit(5); });
    pthread_setspecific(key, &key);
    pthread_exit(nullptr);  // without the destructor: exit(0)
  });
  EXPECT_EQ(WEXITSTATUS(end_of(child)), 5);
}

FACT(only_caller, "fork(2) takes the calling thread alone into the child") {
  std::thread([] {
    for (;;) pause();
  }).detach();
  const pid_t child = in_child([] {
    char path[64];
    snprintf(path, sizeof path, "/proc/self/status");
    char text[4096] = {};
    const int fd = open(path, O_RDONLY);
    (void)!read(fd, text, sizeof text - 1);
    const char* line = strstr(text, "\nThreads:");
    _exit(line != nullptr && atoi(line + 9) == 1 ? 5 : 6);
  });
  EXPECT_EQ(WEXITSTATUS(end_of(child)), 5);
}

FACT(roll, "glibc tells debuggers where its list of threads goes through a thread's record, and fork(2) takes all threads but its own off") {
  struct Link {
    Link *next, *prev;
  };
  struct Field {
    uint32_t bits, elements, offset;
  };
  const auto offset_of = [](const char* name) {
    const auto* field = static_cast<const Field*>(dlsym(RTLD_DEFAULT, name));
    EXPECT(field != nullptr);
    return field->offset;
  };
  EXPECT_EQ(offset_of("_thread_db_list_t_next"), offsetof(Link, next));
  EXPECT_EQ(offset_of("_thread_db_list_t_prev"), offsetof(Link, prev));
  const size_t links = offset_of("_thread_db_pthread_list");
  static std::atomic<unsigned long> records[2];
  for (auto& record : records) {
    std::thread([&record] {
      record.store(thread_pointer());
      for (;;) pause();
    }).detach();
    UNTIL(record.load() != 0);
  }
  const auto link_of = [links](unsigned long record) { return reinterpret_cast<Link*>(record + links); };
  // How many links there are on the way from one thread to itself; -1: the other one is not on it.
  const auto length = [&] {
    const Link* own = link_of(records[0].load());
    const Link* other = link_of(records[1].load());
    int n = 1;
    bool met = false;
    for (const Link* at = own->next; at != own; at = at->next, n++) {
      if (at->prev->next != at || n > 1000) return -2;
      met = met || at == other;
    }
    return met ? n : -1;
  };
  EXPECT_EQ(length(), 3);  // both, and the head; the main thread is on a list of its own
  const unsigned long own = thread_pointer();
  const pid_t child = in_child([&] {
    // What was on the list is on that of stacks to be used again: this thread is on none of both.
    for (const Link* at = link_of(records[0].load())->next; at != link_of(records[0].load()); at = at->next) {
      if (at == link_of(own)) _exit(6);
    }
    _exit(5);
  });
  EXPECT_EQ(WEXITSTATUS(end_of(child)), 5);
}

#endif
