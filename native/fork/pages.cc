#include "pages.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>

#include "../caught.h"

namespace forklock {
namespace {

int read_all(const char* path, std::string* out) {
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return -errno;
  const int result = caught([&] {
    char buffer[1 << 14];
    ssize_t n;
    while ((n = read(fd, buffer, sizeof buffer)) > 0 || (n < 0 && errno == EINTR)) {
      if (n > 0) out->append(buffer, static_cast<size_t>(n));
    }
    return n < 0 ? -errno : 0;
  });
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
    // start-end rights offset device inode name: proc(5). sscanf would take most of the time of this step.
    char* at;
    const uintptr_t from = strtoull(line, &at, 16);
    const uintptr_t to = strtoull(at + 1, &at, 16);
    const bool is_private = at[4] == 'p';
    at = strchr(at + 6, ' ') + 1;
    at = strchr(at, ' ') + 1;
    const bool is_anonymous = *at == '0';
    if (is_private && is_anonymous) {
      if (from != end) {  // neighbours take one call
        allow();  // EINVAL for the kernel's own pages ([vvar]), which need no mark
        start = from;
      }
      end = to;
    }
    line = strchr(at, '\n');
    if (line == nullptr) break;
    line++;
  }
  allow();
  return 0;
}

}  // namespace forklock
