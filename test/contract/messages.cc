// What starting programs and speaking with them takes: native/process.cc and native/socket.cc.
#include <fcntl.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "fact.h"

using namespace contract;

namespace {

struct Pair {
  int ends[2];
  Pair() { EXPECT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0); }
};

// Sends a byte, with a descriptor if there is one.
void send_with(int socket, char byte, int descriptor = -1) {
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  iovec part = {&byte, 1};
  msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (descriptor >= 0) {
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    cmsghdr* head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(head), &descriptor, sizeof descriptor);
  }
  EXPECT_EQ(sendmsg(socket, &message, MSG_NOSIGNAL), 1);
}

// The descriptor that came with the next message, or -1.
int receive(int socket, char* bytes, size_t room, ssize_t* got, int flags = 0, bool* cut = nullptr) {
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  iovec part = {bytes, room};
  msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  *got = recvmsg(socket, &message, MSG_CMSG_CLOEXEC | flags);
  if (cut != nullptr) *cut = (message.msg_flags & MSG_CTRUNC) != 0;
  const cmsghdr* head = CMSG_FIRSTHDR(&message);
  int descriptor = -1;
  if (head != nullptr && head->cmsg_type == SCM_RIGHTS) memcpy(&descriptor, CMSG_DATA(head), sizeof descriptor);
  return descriptor;
}

}  // namespace

FACT(same_number, "posix_spawn's dup2 of a descriptor to its own number gives it to the program, close-on-exec or not") {
  int ends[2];
  EXPECT_EQ(pipe2(ends, O_CLOEXEC), 0);
  char path[64];
  snprintf(path, sizeof path, "/proc/self/fd/%d", ends[1]);
  char name[] = "test";
  char option[] = "-e";
  char* argv[] = {name, option, path, nullptr};
  char* env[] = {nullptr};
  const auto has_it = [&](bool given) {
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    if (given) posix_spawn_file_actions_adddup2(&actions, ends[1], ends[1]);
    pid_t pid = 0;
    EXPECT_EQ(posix_spawnp(&pid, "test", &actions, nullptr, argv, env), 0);
    posix_spawn_file_actions_destroy(&actions);
    return WEXITSTATUS(end_of(pid));
  };
  EXPECT_EQ(has_it(true), 0);
  EXPECT_EQ(has_it(false), 1);
}

FACT(apart, "a SEQPACKET socket keeps messages apart, and a descriptor comes with its own, close-on-exec") {
  Pair pair;
  int ends[2];
  EXPECT_EQ(pipe(ends), 0);
  send_with(pair.ends[0], 'a');
  send_with(pair.ends[0], 'b', ends[1]);
  char bytes[8];
  ssize_t got = 0;
  EXPECT_EQ(receive(pair.ends[1], bytes, sizeof bytes, &got), -1);
  EXPECT_EQ(got, 1);
  EXPECT_EQ(bytes[0], 'a');
  const int received = receive(pair.ends[1], bytes, sizeof bytes, &got);
  EXPECT_EQ(bytes[0], 'b');
  EXPECT_EQ(fcntl(received, F_GETFD), FD_CLOEXEC);
  EXPECT_EQ(write(received, "x", 1), 1);
  EXPECT_EQ(read(ends[0], bytes, 1), 1);
}

FACT(look, "MSG_PEEK gives copies of a message's descriptors, and says MSG_CTRUNC when they do not fit; it is there as before") {
  Pair pair;
  int ends[2];
  EXPECT_EQ(pipe2(ends, O_CLOEXEC), 0);
  send_with(pair.ends[0], 'a', ends[1]);
  close(ends[1]);
  ssize_t got = 0;
  bool cut = false;
  char byte = 0;
  int copies[2];
  for (int& copy : copies) {
    byte = 0;
    copy = receive(pair.ends[1], &byte, 1, &got, MSG_PEEK, &cut);
    EXPECT_EQ(got, 1);
    EXPECT_EQ(byte, 'a');
    EXPECT(!cut);
    EXPECT(copy >= 0);
  }
  EXPECT(copies[0] != copies[1]);
  rlimit before = {};
  EXPECT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit full = {static_cast<rlim_t>(copies[1]) + 1, before.rlim_max};
  EXPECT_EQ(setrlimit(RLIMIT_NOFILE, &full), 0);
  while (dup(0) >= 0) continue;
  EXPECT_EQ(receive(pair.ends[1], &byte, 1, &got, MSG_PEEK, &cut), -1);
  EXPECT_EQ(got, 1);
  EXPECT(cut);
  EXPECT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
  // Without room for descriptors it is taken, and what it carried is closed: of the pipe there are the copies alone.
  EXPECT_EQ(recv(pair.ends[1], &byte, 1, 0), 1);
  EXPECT_EQ(write(copies[0], "x", 1), 1);
  EXPECT_EQ(read(ends[0], &byte, 1), 1);
  for (const int copy : copies) close(copy);
  EXPECT_EQ(read(ends[0], &byte, 1), 0);
}

FACT(peer_ends, "a message that was sent is still received after its sender was killed, and then the end of the stream") {
  Pair pair;
  const pid_t child = in_child([&] {
    send_with(pair.ends[1], 'a');
    for (;;) pause();
  });
  close(pair.ends[1]);
  char byte = 0;
  EXPECT_EQ(recv(pair.ends[0], &byte, 1, MSG_PEEK), 1);
  kill_and_reap(child);
  EXPECT_EQ(recv(pair.ends[0], &byte, 1, 0), 1);
  EXPECT_EQ(byte, 'a');
  EXPECT_EQ(recv(pair.ends[0], &byte, 1, 0), 0);
}

FACT(peer_ends_unread, "a peer that ends with unread messages shows as ECONNRESET, once") {
  Pair pair;
  send_with(pair.ends[0], 'a');
  close(pair.ends[1]);
  char byte = 0;
  EXPECT_EQ(recv(pair.ends[0], &byte, 1, 0), -1);
  EXPECT_EQ(errno, ECONNRESET);
  EXPECT_EQ(recv(pair.ends[0], &byte, 1, 0), 0);
}

FACT(nobody_reads, "a message to a peer that has ended is EPIPE with MSG_NOSIGNAL, and no signal") {
  Pair pair;
  close(pair.ends[1]);
  EXPECT_EQ(send(pair.ends[0], "a", 1, MSG_NOSIGNAL), -1);
  EXPECT_EQ(errno, EPIPE);
}
