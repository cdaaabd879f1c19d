#include "polls.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

namespace forklock {
namespace {

// In the child each page that is touched first costs a page fault: so no stdio, no malloc, and one buffer.
using Buffer = char[4096];

struct Lists {
  std::vector<int> sets;
  std::vector<int> counters;
};

int open_directory(const char* path) { return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC); }

// Calls back with each name in /proc/self/fd.
template <typename Name>
int each_descriptor(int directory, Buffer& buffer, Name name) {
  long n;
  while ((n = syscall(SYS_getdents64, directory, buffer, sizeof buffer)) > 0) {
    for (long at = 0; at < n;) {
      const auto* entry = reinterpret_cast<const dirent64*>(buffer + at);
      if (entry->d_name[0] != '.') name(entry->d_name);
      at += entry->d_reclen;
    }
  }
  return n < 0 ? -errno : 0;
}

int list_polls(Lists* lists) {
  const int directory = open_directory("/proc/self/fd");
  if (directory < 0) return -errno;
  Buffer buffer;
  const int failed = each_descriptor(directory, buffer, [&](const char* name) {
    char link[32] = {};
    if (readlinkat(directory, name, link, sizeof link - 1) <= 0) return;
    if (strcmp(link, "anon_inode:[eventfd]") == 0) lists->counters.push_back(atoi(name));
    if (strcmp(link, "anon_inode:[eventpoll]") == 0) lists->sets.push_back(atoi(name));
  });
  close(directory);
  return failed;
}

// Calls back with each line of /proc/self/fdinfo/<fd>.
template <typename Line>
int each_line_of_fdinfo(int fd, Line line) {
  char path[64];
  snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
  const int info = open(path, O_RDONLY | O_CLOEXEC);
  if (info < 0) return -errno;
  Buffer text;
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

// The number behind a name at the beginning of a line or behind `*at`, which moves on.
bool number_after(const char** at, const char* name, int base, unsigned long long* value) {
  const char* found = strstr(*at, name);
  if (found == nullptr) return false;
  char* end;
  *value = strtoull(found + strlen(name), &end, base);
  *at = end;
  return true;
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
  unsigned long long semaphore = 0;
  const int failed = each_line_of_fdinfo(fd, [&](const char* line) {
    const char* at = line;
    if (!number_after(&at, "eventfd-count:", 16, &count)) number_after(&at, "eventfd-semaphore:", 10, &semaphore);
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
    const char* at = line;
    unsigned long long target, events, data;
    if (!number_after(&at, "tfd:", 10, &target) || !number_after(&at, "events:", 16, &events) ||
        !number_after(&at, "data:", 16, &data)) {
      return;
    }
    epoll_event event = {};
    event.events = static_cast<uint32_t>(events);
    event.data.u64 = data;
    epoll_ctl(own, EPOLL_CTL_ADD, static_cast<int>(target), &event);  // fails for a target that was closed meanwhile: as it should
  });
  if (failed != 0) return failed;
  return replace(fd, own);
}

}  // namespace

int own_polls() {
  Lists lists;
  int failed = list_polls(&lists);
  // The counters first: the sets refer to them by the numbers that they get here.
  for (size_t i = 0; failed == 0 && i < lists.counters.size(); i++) failed = own_eventfd(lists.counters[i]);
  for (size_t i = 0; failed == 0 && i < lists.sets.size(); i++) failed = own_epoll(lists.sets[i]);
  return failed;
}

}  // namespace forklock
