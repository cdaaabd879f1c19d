// What native/memory.cc and native/fork/{pages,polls,inherited}.cc take from the kernel: pages, files and descriptors.
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "fact.h"

using namespace contract;

namespace {

constexpr size_t kBytes = 4096;

int memory_file(unsigned flags = MFD_CLOEXEC) {
  const int fd = static_cast<int>(syscall(SYS_memfd_create, "contract", flags));
  EXPECT(fd >= 0);
  return fd;
}

uint8_t* map(int fd, int flags, void* at = nullptr) {
  void* memory = mmap(at, kBytes, PROT_READ | PROT_WRITE, flags, fd, 0);
  EXPECT(memory != MAP_FAILED);
  return static_cast<uint8_t*>(memory);
}

// A system call that reads an address that is not there says EFAULT.
bool is_mapped(const void* address) {
  int ends[2];
  EXPECT_EQ(pipe2(ends, O_CLOEXEC), 0);
  const bool there = write(ends[1], address, 1) == 1;
  close(ends[0]);
  close(ends[1]);
  return there;
}

void read_info(int fd, char* text, size_t room) {
  char path[64];
  snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
  const int info = open(path, O_RDONLY | O_CLOEXEC);
  const ssize_t n = read(info, text, room - 1);
  close(info);
  EXPECT(n > 0);
  text[n] = 0;
}

}  // namespace

FACT(dontfork, "pages with MADV_DONTFORK are not in a forked child, and with MADV_DOFORK they are again") {
  uint8_t* pages = map(-1, MAP_PRIVATE | MAP_ANONYMOUS);
  pages[0] = 9;
  EXPECT_EQ(madvise(pages, kBytes, MADV_DONTFORK), 0);
  EXPECT_EQ(WEXITSTATUS(end_of(in_child([=] { _exit(is_mapped(pages) ? 5 : 6); }))), 6);
  EXPECT_EQ(madvise(pages, kBytes, MADV_DOFORK), 0);
  EXPECT_EQ(WEXITSTATUS(end_of(in_child([=] { _exit(is_mapped(pages) && pages[0] == 9 ? 5 : 6); }))), 5);
}

FACT(dofork_neighbours, "one MADV_DOFORK over neighbouring mappings of different rights reaches all of them") {
  auto* pages = static_cast<uint8_t*>(mmap(nullptr, 2 * kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  EXPECT_EQ(mprotect(pages + kBytes, kBytes, PROT_READ), 0);
  EXPECT_EQ(madvise(pages, 2 * kBytes, MADV_DONTFORK), 0);
  EXPECT_EQ(madvise(pages, 2 * kBytes, MADV_DOFORK), 0);
  const pid_t child = in_child([=] { _exit(is_mapped(pages) && is_mapped(pages + kBytes) ? 5 : 6); });
  EXPECT_EQ(WEXITSTATUS(end_of(child)), 5);
}

FACT(dofork_kernel_pages, "MADV_DOFORK of the kernel's own pages ([vvar]) is EINVAL and changes nothing: they are in the child anyway") {
  FILE* maps = fopen("/proc/self/maps", "re");
  char line[512];
  unsigned long from = 0;
  unsigned long to = 0;
  while (fgets(line, sizeof line, maps) != nullptr) {
    if (strstr(line, "[vvar]") != nullptr) sscanf(line, "%lx-%lx", &from, &to);
  }
  fclose(maps);
  if (from == 0) skip("this kernel maps no [vvar]");
  EXPECT_EQ(madvise(reinterpret_cast<void*>(from), to - from, MADV_DOFORK), -1);
  EXPECT_EQ(errno, EINVAL);
  const pid_t child = in_child([] {
    timespec now;
    _exit(clock_gettime(CLOCK_MONOTONIC, &now) == 0 ? 5 : 6);
  });
  EXPECT_EQ(WEXITSTATUS(end_of(child)), 5);
}

FACT(maps_line, "a line of /proc/self/maps has the range, the rights with p or s, offset, device and inode: 0 for anonymous pages") {
  uint8_t* anonymous = map(-1, MAP_PRIVATE | MAP_ANONYMOUS);
  // Not beside other anonymous pages, or they would be one line.
  EXPECT_EQ(mprotect(anonymous, kBytes, PROT_READ), 0);
  const int fd = memory_file();
  EXPECT_EQ(ftruncate(fd, kBytes), 0);
  uint8_t* file = map(fd, MAP_SHARED);
  int seen = 0;
  FILE* maps = fopen("/proc/self/maps", "re");
  char line[512];
  while (fgets(line, sizeof line, maps) != nullptr) {
    unsigned long from, to, offset, inode;
    char rights[8];
    char device[16];
    EXPECT_EQ(sscanf(line, "%lx-%lx %7s %lx %15s %lu", &from, &to, rights, &offset, device, &inode), 6);
    if (from <= reinterpret_cast<uintptr_t>(anonymous) && reinterpret_cast<uintptr_t>(anonymous) < to) {
      EXPECT_EQ(rights[3], 'p');
      EXPECT_EQ(inode, 0);
      seen++;
    }
    if (from == reinterpret_cast<uintptr_t>(file)) {
      EXPECT_EQ(rights[3], 's');
      EXPECT(inode != 0);
      seen++;
    }
  }
  fclose(maps);
  EXPECT_EQ(seen, 2);
}

FACT(fixed, "MAP_FIXED puts shared pages over private ones that are there, and others see what is written to them") {
  const int fd = memory_file();
  EXPECT_EQ(ftruncate(fd, kBytes), 0);
  uint8_t* other = map(fd, MAP_SHARED);
  uint8_t* own = map(-1, MAP_PRIVATE | MAP_ANONYMOUS);
  own[0] = 1;
  EXPECT(map(fd, MAP_SHARED | MAP_FIXED, own) == own);
  EXPECT_EQ(own[0], 0);
  own[0] = 7;
  EXPECT_EQ(other[0], 7);
}

FACT(seals, "a memfd with F_SEAL_SHRINK and F_SEAL_GROW keeps its size, whoever opens it") {
  const int fd = memory_file(MFD_CLOEXEC | MFD_ALLOW_SEALING);
  EXPECT_EQ(ftruncate(fd, kBytes), 0);
  EXPECT_EQ(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL), 0);
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/fd/%d", getpid(), fd);
  const pid_t child = in_child([&] {
    const int own = open(path, O_RDWR | O_CLOEXEC);
    const bool kept = own >= 0 && ftruncate(own, 0) != 0 && errno == EPERM && ftruncate(own, 2 * kBytes) != 0 && errno == EPERM;
    _exit(kept ? 5 : 6);
  });
  EXPECT_EQ(WEXITSTATUS(end_of(child)), 5);
}

FACT(sealed_writes, "a memfd with F_SEAL_WRITE is not written to any more") {
  const int fd = memory_file(MFD_CLOEXEC | MFD_ALLOW_SEALING);
  EXPECT_EQ(write(fd, "a", 1), 1);
  EXPECT_EQ(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), 0);
  EXPECT_EQ(write(fd, "b", 1), -1);
  EXPECT_EQ(errno, EPERM);
  EXPECT(mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED);
}

FACT(proc_fd, "/proc/<pid>/fd/<n> of a memfd opens the same memory in another process, with the same inode") {
  const int fd = memory_file();
  EXPECT_EQ(ftruncate(fd, kBytes), 0);
  map(fd, MAP_SHARED)[0] = 7;
  struct stat mine;
  EXPECT_EQ(fstat(fd, &mine), 0);
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/fd/%d", getpid(), fd);
  const pid_t child = in_child([&] {
    struct stat its;
    close(fd);
    const int own = open(path, O_RDWR | O_CLOEXEC);
    _exit(fstat(own, &its) == 0 && its.st_ino == mine.st_ino && map(own, MAP_SHARED)[0] == 7 ? 5 : 6);
  });
  EXPECT_EQ(WEXITSTATUS(end_of(child)), 5);
}

FACT(unnamed_file, "an O_TMPFILE file gets its name by linkat from /proc/self/fd, and EEXIST where there is one") {
  char directory[] = "/dev/shm/forklock-contract-XXXXXX";
  if (mkdtemp(directory) == nullptr) skip_for_error("no directory can be made in /dev/shm");
  const int dir = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const auto publish = [=] {
    const int fd = openat(dir, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    char self[64];
    snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
    return fd < 0 ? -1 : linkat(AT_FDCWD, self, dir, "name", AT_SYMLINK_FOLLOW);
  };
  const int first = publish();
  const int second = publish();
  const int error = errno;
  unlinkat(dir, "name", 0);
  rmdir(directory);
  EXPECT_EQ(first, 0);
  EXPECT_EQ(second, -1);
  EXPECT_EQ(error, EEXIST);
}

FACT(full, "on a full tmpfs fallocate says ENOSPC, where a write to a page that is not reserved would be a SIGBUS") {
  char directory[] = "/tmp/forklock-contract-XXXXXX";
  EXPECT(mkdtemp(directory) != nullptr);
  // Seen and kept by this process alone.
  if (unshare(CLONE_NEWNS) != 0 || mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
      mount("tmpfs", directory, "tmpfs", 0, "size=64k") != 0) {
    const int error = errno;
    rmdir(directory);
    errno = error;
    skip_for_error("needs a small tmpfs of its own (CAP_SYS_ADMIN)");
  }
  char path[96];
  snprintf(path, sizeof path, "%s/file", directory);
  const int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  const bool truncated = ftruncate(fd, 1 << 20) == 0;
  const bool refused = fallocate(fd, 0, 0, 1 << 20) != 0 && errno == ENOSPC;
  const pid_t child = in_child([=] {
    auto* pages = static_cast<uint8_t*>(mmap(nullptr, 1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
    for (size_t at = 0; at < 1 << 20; at += kBytes) pages[at] = 1;
  });
  const int status = end_of(child);
  close(fd);
  umount2(directory, MNT_DETACH);
  rmdir(directory);
  EXPECT(truncated);
  EXPECT(refused);
  EXPECT(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS);
}

FACT(eventfd_info, "/proc/self/fdinfo of an eventfd has its count, in hexadecimal, and its link says what it is") {
  const int fd = eventfd(0x1f, EFD_CLOEXEC);
  char text[1024];
  read_info(fd, text, sizeof text);
  const char* line = strstr(text, "eventfd-count:");
  EXPECT(line != nullptr);
  EXPECT_EQ(strtoull(line + strlen("eventfd-count:"), nullptr, 16), 0x1f);
  char path[64];
  char link[64] = {};
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  EXPECT(readlink(path, link, sizeof link - 1) > 0);
  EXPECT_EQ(strcmp(link, "anon_inode:[eventfd]"), 0);
}

FACT(eventfd_semaphore, "/proc/self/fdinfo of an eventfd says whether it is a semaphore") {
  char text[1024];
  read_info(eventfd(1, EFD_CLOEXEC | EFD_SEMAPHORE), text, sizeof text);
  const char* line = strstr(text, "eventfd-semaphore:");
  if (line == nullptr) skip("since Linux 6.5; before, the child of a fork takes it for a counter");
  EXPECT_EQ(strtoull(line + strlen("eventfd-semaphore:"), nullptr, 10), 1);
}

FACT(epoll_info, "/proc/self/fdinfo of an epoll set lists descriptor, events and data of each target") {
  const int set = epoll_create1(EPOLL_CLOEXEC);
  const int counter = eventfd(0, EFD_CLOEXEC);
  epoll_event event = {};
  event.events = EPOLLIN | EPOLLET;
  event.data.u64 = 0x123456789abcULL;
  EXPECT_EQ(epoll_ctl(set, EPOLL_CTL_ADD, counter, &event), 0);
  char text[1024];
  read_info(set, text, sizeof text);
  const char* line = strstr(text, "tfd:");
  int target = -1;
  unsigned events = 0;
  unsigned long long data = 0;
  EXPECT(line != nullptr);
  EXPECT_EQ(sscanf(line, "tfd: %d events: %x data: %llx", &target, &events, &data), 3);
  EXPECT_EQ(target, counter);
  EXPECT_EQ(events & (EPOLLIN | EPOLLET), EPOLLIN | EPOLLET);
  EXPECT_EQ(data, 0x123456789abcULL);
}

FACT(epoll_shared, "an epoll set is shared with a forked child: what the child takes out of it the parent misses") {
  const int set = epoll_create1(EPOLL_CLOEXEC);
  const int counter = eventfd(1, EFD_CLOEXEC);
  epoll_event event = {};
  event.events = EPOLLIN;
  EXPECT_EQ(epoll_ctl(set, EPOLL_CTL_ADD, counter, &event), 0);
  EXPECT_EQ(epoll_wait(set, &event, 1, 0), 1);
  end_of(in_child([=] { epoll_ctl(set, EPOLL_CTL_DEL, counter, nullptr); }));
  EXPECT_EQ(epoll_wait(set, &event, 1, 0), 0);
}

FACT(own_epoll, "a set made anew under the same number by dup3 is the child's own: the parent's stays as it is") {
  const int set = epoll_create1(EPOLL_CLOEXEC);
  const int counter = eventfd(1, EFD_CLOEXEC);
  epoll_event event = {};
  event.events = EPOLLIN;
  EXPECT_EQ(epoll_ctl(set, EPOLL_CTL_ADD, counter, &event), 0);
  const pid_t child = in_child([=] {
    const int own = epoll_create1(EPOLL_CLOEXEC);
    epoll_event one = {};
    one.events = EPOLLIN;
    const bool made = epoll_ctl(own, EPOLL_CTL_ADD, counter, &one) == 0 && dup3(own, set, O_CLOEXEC) == set;
    const bool works = epoll_wait(set, &one, 1, 0) == 1 && epoll_ctl(set, EPOLL_CTL_DEL, counter, nullptr) == 0;
    _exit(made && works && epoll_wait(set, &one, 1, 0) == 0 ? 5 : 6);
  });
  EXPECT_EQ(WEXITSTATUS(end_of(child)), 5);
  EXPECT_EQ(epoll_wait(set, &event, 1, 0), 1);
}

FACT(dead_end, "the read end of a pipe that is empty and has a writer is neither readable nor writable nor hung up") {
  int ends[2];
  EXPECT_EQ(pipe2(ends, O_CLOEXEC), 0);
  pollfd entry = {ends[0], POLLIN | POLLOUT, 0};
  EXPECT_EQ(poll(&entry, 1, 0), 0);
}
