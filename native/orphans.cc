#include "orphans.h"

#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <mutex>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>
#include <vector>

#include "fork/helpers.h"
#include "process.h"

namespace forklock {
namespace {

constexpr int kAgain = 100;        // ms: how often to look for what nothing tells of
constexpr int kPatience = 50;      // ms: how long to wait for room in that process's socket
constexpr int kAtOnce = 64;        // messages, so that who sends many keeps nobody from the lock
constexpr rlim_t kShare = 4;       // of the descriptors that the program may have: for processes that others tell of

struct Orphan {
  int pidfd;
  bool ended;  // and has a parent that has yet to ask, or to end
};

// The process's, as children are. Never destroyed: its thread may outlive main().
struct Orphans {
  std::mutex mutex;  // nobody sleeps while holding it
  std::vector<Orphan> known;
  bool has_thread = false;
  int wake = -1;
  int socket = -1;

  void add(int pidfd);
  bool start();
  void run();
  int look();
  void hear();
  void take_in(int pidfd, const ucred& sender);
};

Orphans* orphans = new Orphans;

size_t most_others() {
  rlimit descriptors;
  return getrlimit(RLIMIT_NOFILE, &descriptors) == 0 ? static_cast<size_t>(descriptors.rlim_cur / kShare) : 0;
}

struct alignas(cmsghdr) Control {
  char bytes[CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(ucred))];
};

// The address at which the first process of this PID namespace listens. The name is of no file.
bool address_of_first(sockaddr_un* address, socklen_t* size) {
  struct stat space;
  if (stat("/proc/self/ns/pid", &space) != 0) return false;
  *address = {};
  address->sun_family = AF_UNIX;
  const int n = snprintf(address->sun_path + 1, sizeof address->sun_path - 1, "forklock-orphans-%llu",
                         static_cast<unsigned long long>(space.st_ino));
  *size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + static_cast<size_t>(n));
  return true;
}

bool Orphans::start() {
  if (has_thread) return true;
  if (wake < 0) wake = above_standard(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (wake < 0) return false;
  sigset_t all, old;  // the program's signal handlers belong on its own threads; a fork must find this one asleep
  sigfillset(&all);
  if (park_signal() > 0) sigdelset(&all, park_signal());
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_sigmask(SIG_SETMASK, &all, &old);
  pthread_t thread;
  const auto body = [](void* self) -> void* {
    static_cast<Orphans*>(self)->run();
    return nullptr;
  };
  has_thread = pthread_create(&thread, &attributes, body, this) == 0;
  pthread_sigmask(SIG_SETMASK, &old, nullptr);
  pthread_attr_destroy(&attributes);
  if (has_thread) pthread_setname_np(thread, kOwnThread);
  return has_thread;
}

void Orphans::add(int pidfd) {
  std::lock_guard<std::mutex> guard(mutex);
  known.push_back({pidfd, false});
  const uint64_t one = 1;
  if (start()) (void)!write(wake, &one, sizeof one);
}

void Orphans::run() {
  for (;;) {
    std::vector<pollfd> watched;
    int timeout;
    {
      std::lock_guard<std::mutex> guard(mutex);
      uint64_t count;
      (void)!read(wake, &count, sizeof count);
      if (socket >= 0) hear();
      timeout = look();
      watched = {{wake, POLLIN, 0}, {socket, POLLIN, 0}};
      for (const Orphan& orphan : known) {
        if (!orphan.ended) watched.push_back({orphan.pidfd, POLLIN, 0});
      }
    }
    poll(watched.data(), watched.size(), timeout);
  }
}

// Reaps those that have ended. How long to wait with the next look, if nothing happens.
int Orphans::look() {
  int timeout = -1;
  std::vector<Orphan> left;
  for (Orphan orphan : known) {
    const int32_t fd = orphan.pidfd;
    uint8_t ready = 0;
    orphan.ended = orphan.ended || poll_descriptors(&fd, &ready, 1, 0) == 1;
    const int status = orphan.ended ? exit_status(fd, true) : -EAGAIN;
    // Another process's child, for now. When that is reaped, or this process has asked already, it is gone.
    const bool is_gone = status == -ECHILD && signal_process(fd, 0) == -ESRCH;
    if (status >= 0 || is_gone) {
      close(fd);
      continue;
    }
    if (orphan.ended) timeout = kAgain;
    left.push_back(orphan);
  }
  known.swap(left);
  return timeout;
}

void Orphans::hear() {
  for (int n = 0; n < kAtOnce; n++) {
    char nothing;
    iovec part{&nothing, 1};
    Control control;
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control.bytes;
    message.msg_controllen = sizeof control.bytes;
    if (recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) < 0) return;
    int fd = -1;
    ucred sender = {0, static_cast<uid_t>(-1), static_cast<gid_t>(-1)};
    for (cmsghdr* head = CMSG_FIRSTHDR(&message); head != nullptr; head = CMSG_NXTHDR(&message, head)) {
      if (head->cmsg_level != SOL_SOCKET) continue;
      if (head->cmsg_type == SCM_CREDENTIALS) memcpy(&sender, CMSG_DATA(head), sizeof sender);
      if (head->cmsg_type != SCM_RIGHTS) continue;
      // There is room for two, as the kernel counts, and whoever sends them may be anybody.
      for (size_t at = CMSG_LEN(0); at + sizeof(int) <= head->cmsg_len; at += sizeof(int)) {
        if (fd >= 0) close(fd);
        memcpy(&fd, reinterpret_cast<const char*>(head) + at, sizeof fd);
      }
    }
    fd = above_standard(fd);
    if (fd >= 0) take_in(fd, sender);
  }
}

void Orphans::take_in(int pidfd, const ucred& sender) {
  const int status = exit_status(pidfd, false);
  const bool is_process = status >= 0 || status == -EAGAIN || status == -ECHILD;  // and no other file
  // Another user could name a child of this process, and so keep its end from who waits for it.
  const bool is_trusted = sender.uid == geteuid() || sender.uid == 0 || status == -ECHILD;
  if (is_process && is_trusted && known.size() < most_others()) {
    known.push_back({pidfd, false});
  } else {
    close(pidfd);
  }
}

}  // namespace

void reap_later(int pidfd) { orphans->add(pidfd); }

void listen_for_orphans() {
  if (getpid() != 1) return;
  std::lock_guard<std::mutex> guard(orphans->mutex);
  if (orphans->socket >= 0) return;
  sockaddr_un address;
  socklen_t size;
  if (!address_of_first(&address, &size)) return;
  const int fd = above_standard(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (fd < 0) return;
  const int on = 1;
  if (setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof on) != 0 ||
      bind(fd, reinterpret_cast<const sockaddr*>(&address), size) != 0) {
    close(fd);
    return;
  }
  orphans->socket = fd;
  const uint64_t one = 1;
  if (orphans->start()) (void)!write(orphans->wake, &one, sizeof one);
}

void announce_child(int pidfd) {
  sockaddr_un address;
  socklen_t size;
  if (pidfd < 0 || getpid() == 1 || !address_of_first(&address, &size)) return;
  const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return;
  const timeval patience = {0, kPatience * 1000};
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  char nothing = 0;
  iovec part{&nothing, 1};
  Control control = {};
  msghdr message{};
  message.msg_name = &address;
  message.msg_namelen = size;
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.bytes;
  message.msg_controllen = CMSG_SPACE(sizeof(int));
  cmsghdr* head = CMSG_FIRSTHDR(&message);
  head->cmsg_level = SOL_SOCKET;
  head->cmsg_type = SCM_RIGHTS;
  head->cmsg_len = CMSG_LEN(sizeof(int));
  memcpy(CMSG_DATA(head), &pidfd, sizeof pidfd);
  (void)!sendmsg(fd, &message, MSG_NOSIGNAL);  // mostly nobody listens
  close(fd);
}

void announce_orphan() {
  if (getpid() == 1 || getppid() != 1) return;
  const int pidfd = open_pidfd(getpid());
  announce_child(pidfd);
  if (pidfd >= 0) close(pidfd);
}

void forget_orphans() {
  // Another thread may have held the lock: then nobody can say what the list is, and its descriptors stay.
  if (orphans->mutex.try_lock()) {
    for (const Orphan& orphan : orphans->known) close(orphan.pidfd);
  }
  if (orphans->wake >= 0) close(orphans->wake);
  if (orphans->socket >= 0) close(orphans->socket);
  orphans = new Orphans;
}

}  // namespace forklock
