#include "polls.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

namespace forklock {
namespace {

enum class Kind { kEventfd, kEpoll, kOther };

Kind kind_of(int fd) {
  char path[64];
  char link[64];
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  const ssize_t n = readlink(path, link, sizeof link - 1);
  if (n <= 0) return Kind::kOther;
  link[n] = 0;
  if (strcmp(link, "anon_inode:[eventfd]") == 0) return Kind::kEventfd;
  return strcmp(link, "anon_inode:[eventpoll]") == 0 ? Kind::kEpoll : Kind::kOther;
}

// The text of /proc/self/fdinfo/<fd>. No stdio: each page that it touches would be a page fault more in the child.
template <typename Line>
int each_line_of_fdinfo(int fd, Line line) {
  char path[64];
  snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
  const int info = open(path, O_RDONLY | O_CLOEXEC);
  if (info < 0) return -errno;
  char text[4096];
  size_t kept = 0;
  ssize_t n;
  while ((n = read(info, text + kept, sizeof text - 1 - kept)) > 0) {
    const size_t size = kept + static_cast<size_t>(n);
    text[size] = 0;
    char* start = text;
    for (char* end; (end = strchr(start, '\n')) != nullptr; start = end + 1) {
      *end = 0;
      line(start);
    }
    kept = static_cast<size_t>(text + size - start);
    memmove(text, start, kept);
  }
  const int result = n < 0 ? -errno : 0;
  close(info);
  return result;
}

int replace(int fd, int by) {
  if (by < 0) return -errno;
  const int flags = fcntl(fd, F_GETFD);
  const int result = dup3(by, fd, flags >= 0 && (flags & FD_CLOEXEC) == 0 ? 0 : O_CLOEXEC);
  const int error = errno;
  close(by);
  return result < 0 ? -error : 0;
}

int own_eventfd(int fd) {
  unsigned long long count = 0;
  unsigned semaphore = 0;
  const int failed = each_line_of_fdinfo(fd, [&](const char* line) {
    sscanf(line, "eventfd-count: %llx", &count);
    sscanf(line, "eventfd-semaphore: %u", &semaphore);
  });
  if (failed != 0) return failed;
  const int status = fcntl(fd, F_GETFL);
  int flags = EFD_CLOEXEC;
  if (status >= 0 && (status & O_NONBLOCK) != 0) flags |= EFD_NONBLOCK;
  if (semaphore != 0) flags |= EFD_SEMAPHORE;
  return replace(fd, eventfd(static_cast<unsigned>(count), flags));
}

int own_epoll(int fd) {
  const int own = epoll_create1(EPOLL_CLOEXEC);
  if (own < 0) return -errno;
  const int failed = each_line_of_fdinfo(fd, [own](const char* line) {
    int target;
    unsigned events;
    unsigned long long data;
    if (sscanf(line, "tfd: %d events: %x data: %llx", &target, &events, &data) != 3) return;
    epoll_event event = {};
    event.events = events;
    event.data.u64 = data;
    epoll_ctl(own, EPOLL_CTL_ADD, target, &event);  // fails for a target that was closed meanwhile: as it should
  });
  if (failed != 0) return failed;
  return replace(fd, own);
}

}  // namespace

int own_polls() {
  DIR* directory = opendir("/proc/self/fd");
  if (directory == nullptr) return -errno;
  std::vector<int> sets;
  std::vector<int> counters;
  while (const dirent* entry = readdir(directory)) {
    const int fd = atoi(entry->d_name);
    if (entry->d_name[0] == '.') continue;
    const Kind kind = kind_of(fd);
    if (kind == Kind::kEpoll) sets.push_back(fd);
    if (kind == Kind::kEventfd) counters.push_back(fd);
  }
  closedir(directory);
  // The counters first: the sets refer to them by the numbers that they get here.
  for (const int fd : counters) {
    const int failed = own_eventfd(fd);
    if (failed != 0) return failed;
  }
  for (const int fd : sets) {
    const int failed = own_epoll(fd);
    if (failed != 0) return failed;
  }
  return 0;
}

}  // namespace forklock
