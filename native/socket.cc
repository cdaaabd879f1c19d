#include "socket.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <sys/socket.h>
#include <unistd.h>

namespace forklock {
namespace {

struct alignas(cmsghdr) Control {
  char bytes[CMSG_SPACE(kMaxPassed * sizeof(int))];
};

int receive(int socket, msghdr* message, int flags) {
  ssize_t got;
  do {
    got = recvmsg(socket, message, flags | MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  } while (got < 0 && errno == EINTR);
  if (got < 0) return errno == ECONNRESET ? 0 : -errno;
  return static_cast<int>(got);
}

}  // namespace

int socket_pair(int32_t ends[2]) {
  return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0 ? 0 : -errno;
}

int send_message(int socket, const void* data, size_t size, const int32_t* descriptors, size_t n) {
  if (n > kMaxPassed) return -EINVAL;
  iovec part{const_cast<void*>(data), size};
  Control control;
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (n > 0) {
    memset(control.bytes, 0, sizeof control.bytes);
    message.msg_control = control.bytes;
    message.msg_controllen = CMSG_SPACE(n * sizeof(int));
    cmsghdr* head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(n * sizeof(int));
    memcpy(CMSG_DATA(head), descriptors, n * sizeof(int));
  }
  ssize_t sent;
  do {
    sent = sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
  } while (sent < 0 && errno == EINTR);
  return sent < 0 ? -errno : 0;
}

int receive_message(int socket, void* data, size_t size, int32_t* descriptors, size_t n) {
  iovec part{data, size};
  Control control;
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (n == 0) return receive(socket, &message, 0);
  message.msg_control = control.bytes;
  message.msg_controllen = sizeof control.bytes;
  const int got = receive(socket, &message, MSG_PEEK);
  if (got <= 0) return got;
  std::fill(descriptors, descriptors + n, -1);
  size_t count = 0;
  bool fits = (message.msg_flags & MSG_TRUNC) == 0;
  for (cmsghdr* head = CMSG_FIRSTHDR(&message); head != nullptr; head = CMSG_NXTHDR(&message, head)) {
    if (head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS) continue;
    const size_t carried = (head->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < carried; i++) {
      int fd;
      memcpy(&fd, CMSG_DATA(head) + i * sizeof(int), sizeof fd);
      if (count < n) {
        descriptors[count++] = fd;
      } else {
        close(fd);
        fits = false;
      }
    }
  }
  const bool has_room = (message.msg_flags & MSG_CTRUNC) == 0;
  if (has_room) {  // the look has copied the descriptors: those of the message itself go with it
    char rest;
    while (recv(socket, &rest, sizeof rest, MSG_DONTWAIT) < 0 && errno == EINTR) {
    }
  }
  if (fits && has_room) return got;
  for (size_t i = 0; i < count; i++) close(descriptors[i]);
  std::fill(descriptors, descriptors + n, -1);
  return has_room ? -EMSGSIZE : -EMFILE;
}

}  // namespace forklock
