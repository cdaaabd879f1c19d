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

bool links_to(int fd, const char* what) {
  char path[64];
  char link[128];
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  const ssize_t n = readlink(path, link, sizeof link - 1);
  if (n <= 0) return false;
  link[n] = 0;
  return strcmp(link, what) == 0;
}

FILE* open_fdinfo(int fd) {
  char path[64];
  snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
  return fopen(path, "re");
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
  FILE* info = open_fdinfo(fd);
  if (info == nullptr) return -errno;
  unsigned long long count = 0;
  unsigned semaphore = 0;
  char line[128];
  while (fgets(line, sizeof line, info) != nullptr) {
    sscanf(line, "eventfd-count: %llx", &count);
    sscanf(line, "eventfd-semaphore: %u", &semaphore);
  }
  fclose(info);
  const int status = fcntl(fd, F_GETFL);
  int flags = EFD_CLOEXEC;
  if (status >= 0 && (status & O_NONBLOCK) != 0) flags |= EFD_NONBLOCK;
  if (semaphore != 0) flags |= EFD_SEMAPHORE;
  return replace(fd, eventfd(static_cast<unsigned>(count), flags));
}

int own_epoll(int fd) {
  FILE* info = open_fdinfo(fd);
  if (info == nullptr) return -errno;
  const int own = epoll_create1(EPOLL_CLOEXEC);
  char line[256];
  while (own >= 0 && fgets(line, sizeof line, info) != nullptr) {
    int target;
    unsigned events;
    unsigned long long data;
    if (sscanf(line, "tfd: %d events: %x data: %llx", &target, &events, &data) != 3) continue;
    epoll_event event = {};
    event.events = events;
    event.data.u64 = data;
    epoll_ctl(own, EPOLL_CTL_ADD, target, &event);  // fails for a target that was closed meanwhile: as it should
  }
  fclose(info);
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
    if (links_to(fd, "anon_inode:[eventpoll]")) sets.push_back(fd);
    if (links_to(fd, "anon_inode:[eventfd]")) counters.push_back(fd);
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
