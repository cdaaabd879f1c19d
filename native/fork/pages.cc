#include "pages.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>

namespace forklock {
namespace {

int read_all(const char* path, std::string* out) {
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return -errno;
  char buffer[1 << 14];
  ssize_t n;
  while ((n = read(fd, buffer, sizeof buffer)) > 0 || (n < 0 && errno == EINTR)) {
    if (n > 0) out->append(buffer, static_cast<size_t>(n));
  }
  const int result = n < 0 ? -errno : 0;
  close(fd);
  return result;
}

}  // namespace

int let_child_have_heap() {
  // Read as a whole first: madvise merges and splits mappings, and the file is a moving view of them (proc(5)).
  std::string maps;
  const int failed = read_all("/proc/self/maps", &maps);
  if (failed != 0) return failed;
  uintptr_t start = 0;
  uintptr_t end = 0;
  const auto allow = [&] { return start == end ? 0 : madvise(reinterpret_cast<void*>(start), end - start, MADV_DOFORK); };
  for (const char* line = maps.c_str(); *line != 0;) {
    uintptr_t from;
    uintptr_t to;
    char rights[5];
    unsigned long inode;
    if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %4s %*x %*x:%*x %lu", &from, &to, rights, &inode) == 4 &&
        inode == 0 && rights[3] == 'p') {
      if (from == end) {
        end = to;  // neighbours take one call
      } else {
        allow();  // EINVAL for the kernel's own pages ([vvar]), which need no mark
        start = from;
        end = to;
      }
    }
    const char* next = strchr(line, '\n');
    if (next == nullptr) break;
    line = next + 1;
  }
  allow();
  return 0;
}

}  // namespace forklock
