// `without CALL=ERROR[,CALL=ERROR...] command ...` runs a command in which system calls are refused, as by an old kernel or by a
// container's profile. All that the command starts inherits it. Exit code 125: it could not be done.
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <vector>

namespace {

constexpr int kFailed = 125;
constexpr int kAnything = -1;

struct Call {
  const char* name;
  unsigned number;
  int first;  // only with this as the low half of its first argument
};

constexpr Call kCalls[] = {
    {"pidfd_open", 434, kAnything},        {"pidfd_send_signal", 424, kAnything},
    {"waitid(P_PIDFD)", SYS_waitid, 3},    {"memfd_create", SYS_memfd_create, kAnything},
    {"socketpair", SYS_socketpair, kAnything},
};

struct Error {
  const char* name;
  unsigned number;
};

constexpr Error kErrors[] = {{"ENOSYS", ENOSYS}, {"EPERM", EPERM}, {"EINVAL", EINVAL}, {"EACCES", EACCES}};

template <typename Entry, size_t n>
const Entry* find(const Entry (&table)[n], const char* name) {
  for (const Entry& entry : table) {
    if (strcmp(entry.name, name) == 0) return &entry;
  }
  fprintf(stderr, "unknown: %s\n", name);
  return nullptr;
}

bool refuse(char* list) {
  std::vector<sock_filter> filter;
  const auto load = [&filter](unsigned offset) { filter.push_back(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offset)); };
  for (char* one = strtok(list, ","); one != nullptr; one = strtok(nullptr, ",")) {
    char* equals = strchr(one, '=');
    if (equals == nullptr) return false;
    *equals = 0;
    const Call* call = find(kCalls, one);
    const Error* error = find(kErrors, equals + 1);
    if (call == nullptr || error == nullptr) return false;
    load(offsetof(seccomp_data, nr));
    const bool any = call->first == kAnything;
    filter.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call->number, 0, static_cast<unsigned char>(any ? 1 : 3)));
    if (!any) {
      load(offsetof(seccomp_data, args));  // little-endian
      filter.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<unsigned>(call->first), 0, 1));
    }
    filter.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error->number));
  }
  filter.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
  const sock_fprog program = {static_cast<unsigned short>(filter.size()), filter.data()};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3 || !refuse(argv[1])) {
    fputs("usage: without CALL=ERROR[,CALL=ERROR...] command ...\n", stderr);
    return kFailed;
  }
  execvp(argv[2], argv + 2);
  perror(argv[2]);
  return kFailed;
}
