#include "proc.h"

#include <cerrno>
#include <fcntl.h>
#include <unistd.h>

namespace forklock {

bool read_proc(const char* path, char* out, size_t room) {
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  const ssize_t n = read(fd, out, room - 1);
  const int error = n < 0 ? errno : ENODATA;
  close(fd);
  out[n > 0 ? n : 0] = 0;
  if (n <= 0) errno = error;
  return n > 0;
}

}  // namespace forklock
