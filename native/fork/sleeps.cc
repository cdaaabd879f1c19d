#include "sleeps.h"

#if defined(__x86_64__) && defined(__GLIBC__)

#include <dirent.h>
#include <link.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "../caught.h"
#include "../proc.h"

#ifndef FUTEX_CMD_MASK
#define FUTEX_CMD_MASK ~(FUTEX_PRIVATE_FLAG | FUTEX_CLOCK_REALTIME)
#endif

namespace forklock {
namespace {

pid_t own_tid() { return static_cast<pid_t>(syscall(SYS_gettid)); }

bool read_line(pid_t tid, const char* what, char* out, size_t room) {
  char path[64];
  snprintf(path, sizeof path, "/proc/self/task/%d/%s", tid, what);
  return read_proc(path, out, room);
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

}  // namespace

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

bool read_sleep(pid_t tid, Sleep* s) {
  char line[256];
  return read_line(tid, "syscall", line, sizeof line) &&
         sscanf(line, "%ld %lx %lx %lx %lx %lx %lx %lx %lx", &s->number, &s->args[0], &s->args[1], &s->args[2],
                &s->args[3], &s->args[4], &s->args[5], &s->sp, &s->pc) == 9;
}

int can_read_sleeps() {
  char line[256];
  return read_line(own_tid(), "syscall", line, sizeof line) ? 0 : -errno;
}

bool is_poll(const Sleep& s) {
  return s.number == SYS_epoll_wait || s.number == SYS_epoll_pwait || s.number == SYS_epoll_pwait2;
}

Role role_of(const Sleep& s) {
  if (is_poll(s)) return Role::kContinue;
  switch (s.number) {
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

bool waits_on_shared_memory(const Sleep& s) {
  return s.number == SYS_futex_waitv || (s.number == SYS_futex && (s.args[1] & FUTEX_PRIVATE_FLAG) == 0);
}

bool blocks_signal(pid_t tid, int signal) {
  char status[4096];  // all of it is made for the reader, which takes longer than the rest that is asked of a thread
  if (!read_line(tid, "status", status, sizeof status)) return true;
  const char* line = strstr(status, "\nSigBlk:");
  if (line == nullptr) return true;
  return ((strtoull(line + 8, nullptr, 16) >> (signal - 1)) & 1) != 0;
}

int other_threads(std::vector<pid_t>* tids) {
  const pid_t self = own_tid();
  DIR* directory = opendir("/proc/self/task");
  if (directory == nullptr) return -errno;
  const int failed = caught([&] {
    tids->clear();
    while (const dirent* entry = readdir(directory)) {
      const pid_t tid = atoi(entry->d_name);
      if (tid > 0 && tid != self) tids->push_back(tid);
    }
    return 0;
  });
  closedir(directory);
  return failed;
}

std::string describe_thread(pid_t tid) {
  char name[32] = "?";
  if (read_line(tid, "comm", name, sizeof name)) name[strcspn(name, "\n")] = 0;
  return "thread " + std::to_string(tid) + " (" + name + ")";
}

}  // namespace forklock

#endif
