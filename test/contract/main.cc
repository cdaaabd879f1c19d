// `contract list` prints the facts, one a line; `contract <fact>` checks one: exit code 0 (kept), 1 (not kept, and where),
// 77 (does not apply here, and why).
#include <sys/wait.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "fact.h"

namespace contract {
namespace {

constexpr int kSkipped = 77;
constexpr long long kSoon = 10'000'000'000;

Fact* first = nullptr;
Fact** last = &first;

}  // namespace

Fact::Fact(const char* s, void (*r)()) : sentence(s), run(r), next(nullptr) {
  *last = this;
  last = &next;
}

void fail(const char* file, int line, const char* what, long long got, long long expected) {
  const char* name = strrchr(file, '/');
  dprintf(STDERR_FILENO, "%s:%d: %s: got %lld (%#llx), expected %lld (%#llx)\n", name == nullptr ? file : name + 1, line,
          what, got, static_cast<unsigned long long>(got), expected, static_cast<unsigned long long>(expected));
  _exit(1);
}

void skip(const char* why) {
  dprintf(STDOUT_FILENO, "%s\n", why);
  _exit(kSkipped);
}

void skip_for_error(const char* what) {
  const int error = errno;
  dprintf(STDOUT_FILENO, "%s: %s\n", what, strerror(error));
  _exit(kSkipped);
}

int end_of(pid_t pid) {
  int status = -1;
  while (waitpid(pid, &status, 0) < 0) {
    if (errno != EINTR) return -1;
  }
  return status;
}

int kill_and_reap(pid_t pid) {
  kill(pid, SIGKILL);
  return end_of(pid);
}

long long now_ns() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1'000'000'000LL + now.tv_nsec;
}

bool time_is_up(long long since_ns) { return now_ns() - since_ns > kSoon; }

}  // namespace contract

int main(int argc, char** argv) {
  const char* wanted = argc == 2 ? argv[1] : "";
  if (strcmp(wanted, "sleep") == 0) {  // what facts about execve execute
    for (;;) pause();
  }
  for (const contract::Fact* fact = contract::first; fact != nullptr; fact = fact->next) {
    if (strcmp(wanted, "list") == 0) puts(fact->sentence);
    if (strcmp(wanted, fact->sentence) != 0) continue;
    fact->run();
    _exit(0);  // threads may still sleep
  }
  return strcmp(wanted, "list") == 0 ? 0 : 2;
}
