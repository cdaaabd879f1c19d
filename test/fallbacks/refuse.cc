// `refuse ENOSYS|EPERM command …` runs a command in which futex_waitv is refused with that error, as by an old kernel or
// by a container's profile. All that the command starts inherits it. Exit code 125: it could not be refused.
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <ctime>

#ifndef SYS_futex_waitv
#define SYS_futex_waitv 449
#endif

namespace {

constexpr int kFailed = 125;

bool refuse(unsigned error) {
  sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_futex_waitv, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (error & SECCOMP_RET_DATA)),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog program = {sizeof filter / sizeof *filter, filter};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

}  // namespace

int main(int argc, char** argv) {
  const char* name = argc > 2 ? argv[1] : "";
  const int error = strcmp(name, "ENOSYS") == 0 ? ENOSYS : strcmp(name, "EPERM") == 0 ? EPERM : 0;
  if (error == 0) {
    fputs("usage: refuse ENOSYS|EPERM command ...\n", stderr);
    return kFailed;
  }
  if (!refuse(static_cast<unsigned>(error))) {
    perror("seccomp");
    return kFailed;
  }
  // The same question that the addon asks: EINVAL where the call exists.
  if (syscall(SYS_futex_waitv, nullptr, 0, 0, nullptr, CLOCK_MONOTONIC) != -1 || errno != error) {
    perror("futex_waitv is not refused as it should be");
    return kFailed;
  }
  execvp(argv[2], argv + 2);
  perror(argv[2]);
  return kFailed;
}
