#include "polls.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "../caught.h"

namespace forklock {
namespace {

using Buffer = char[4096];

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

// Calls back with each line of /proc/self/fdinfo/<fd>.
template <typename Line>
int each_line_of_fdinfo(int fd, Line line) {
  char path[64];
  snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
  const int info = open(path, O_RDONLY | O_CLOEXEC);
  if (info < 0) return -errno;
  const int result = caught([&] {
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
    return n < 0 ? -errno : 0;
  });
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

}  // namespace

int Polls::note() {
  int failed = list();
  for (size_t i = 0; failed == 0 && i < counters_.size(); i++) failed = note(&counters_[i]);
  for (size_t i = 0; failed == 0 && i < sets_.size(); i++) failed = note(&sets_[i]);
  return failed;
}

int Polls::list() {
  const int directory = open_directory("/proc/self/fd");
  if (directory < 0) return -errno;
  Buffer buffer;
  const auto take = [&](const char* name) {
    char link[32] = {};
    if (readlinkat(directory, name, link, sizeof link - 1) <= 0) return;
    if (strcmp(link, "anon_inode:[eventfd]") == 0) counters_.push_back({atoi(name), 0, EFD_CLOEXEC});
    if (strcmp(link, "anon_inode:[eventpoll]") == 0) sets_.push_back({atoi(name), {}});
  };
  const int failed = caught([&] { return each_descriptor(directory, buffer, take); });
  close(directory);
  return failed;
}

int Polls::note(Counter* counter) {
  unsigned long long count = 0;
  unsigned long long semaphore = 0;
  const int failed = each_line_of_fdinfo(counter->fd, [&](const char* line) {
    const char* at = line;
    if (!number_after(&at, "eventfd-count:", 16, &count)) number_after(&at, "eventfd-semaphore:", 10, &semaphore);
  });
  counter->count = static_cast<unsigned>(count);
  const int status = fcntl(counter->fd, F_GETFL);
  if (status >= 0 && (status & O_NONBLOCK) != 0) counter->flags |= EFD_NONBLOCK;
  if (semaphore != 0) counter->flags |= EFD_SEMAPHORE;
  return failed;
}

int Polls::note(Set* set) {
  return each_line_of_fdinfo(set->fd, [set](const char* line) {
    const char* at = line;
    unsigned long long target, events, data;
    if (!number_after(&at, "tfd:", 10, &target) || !number_after(&at, "events:", 16, &events) ||
        !number_after(&at, "data:", 16, &data)) {
      return;
    }
    epoll_event event = {};
    event.events = static_cast<uint32_t>(events);
    event.data.u64 = data;
    set->watches.push_back({static_cast<int>(target), event});
  });
}

int Polls::renew() const {
  // The counters first: the sets refer to them by the numbers that they get here.
  for (const Counter& counter : counters_) {
    const int failed = replace(counter.fd, eventfd(counter.count, counter.flags));
    if (failed != 0) return failed;
  }
  for (const Set& set : sets_) {
    const int own = epoll_create1(EPOLL_CLOEXEC);
    if (own < 0) return -errno;
    for (const Watch& watch : set.watches) {
      epoll_event event = watch.event;
      epoll_ctl(own, EPOLL_CTL_ADD, watch.fd, &event);  // fails for a target that was closed meanwhile: as it should
    }
    const int failed = replace(set.fd, own);
    if (failed != 0) return failed;
  }
  return 0;
}

}  // namespace forklock
