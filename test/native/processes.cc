// process.cc and socket.cc from many threads: children started, watched and reaped, messages with descriptors. No
// message is lost or torn, every end has its code, and all descriptors are closed again.
#include "../../native/process.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstring>

#include "../../native/socket.h"
#include "harness.h"

namespace forklock::test {
namespace {

constexpr int kThreads = 4;

struct Letter {
  int32_t sender;
  int32_t number;
  int32_t descriptors;
  uint32_t length;  // of what follows
  uint8_t bytes[2000];
};

int open_letter(const Letter& letter) {  // what a letter carries, so that the reader can tell whose it is
  const int32_t content[2] = {letter.sender, letter.number};
  return sealed_memory(content, sizeof content);
}

int letters(int socket, int sender, Random random, const Clock& clock) {
  int sent = 0;
  while (clock.running()) {
    Letter letter{};
    letter.sender = sender;
    letter.number = sent;
    letter.length = static_cast<uint32_t>(random.below(sizeof letter.bytes));
    memset(letter.bytes, sender + sent, letter.length);
    // Past kMaxPassed nothing is sent at all.
    const size_t n = random.one_in(50) ? kMaxPassed + 1 : random.one_in(3) ? random.below(6) : 0;
    letter.descriptors = static_cast<int32_t>(n);
    const int fd = open_letter(letter);
    CHECK(fd >= 0);
    const std::vector<int32_t> carried(n, fd);
    int r;
    do {
      r = send_message(socket, &letter, offsetof(Letter, bytes) + letter.length, carried.data(), n);
      if (r == -EAGAIN || r == -ETOOMANYREFS) pause_for(0.2);
    } while (r == -EAGAIN || r == -ETOOMANYREFS);
    close(fd);
    if (n > kMaxPassed) {
      CHECK_EQUAL(r, -EINVAL);
      continue;
    }
    CHECK_EQUAL(r, 0);
    sent++;
  }
  return sent;
}

void read_letter(const Letter& letter, int got, const int32_t* descriptors, int* next) {
  CHECK_EQUAL(got, offsetof(Letter, bytes) + letter.length);
  CHECK(letter.sender >= 0 && letter.sender < kThreads);
  CHECK_EQUAL(letter.number, next[letter.sender]++);
  for (uint32_t i = 0; i < letter.length; i++) {
    CHECK_EQUAL(letter.bytes[i], static_cast<uint8_t>(letter.sender + letter.number));
  }
  for (int i = 0; i < 8; i++) {
    if (i >= letter.descriptors) {
      CHECK_EQUAL(descriptors[i], -1);
      continue;
    }
    int32_t content[2];
    CHECK(pread(descriptors[i], content, sizeof content, 0) == sizeof content);
    CHECK_EQUAL(content[0], letter.sender);
    CHECK_EQUAL(content[1], letter.number);
    CHECK((fcntl(descriptors[i], F_GETFD) & FD_CLOEXEC) != 0);
    close(descriptors[i]);
  }
}

void every_letter_arrives(const Options& options, double seconds) {
  int32_t ends[2];
  CHECK_EQUAL(socket_pair(ends), 0);
  const pid_t reader = in_child([&] {
    close(ends[0]);
    int next[kThreads] = {};
    Letter letter;
    int32_t descriptors[8];
    for (;;) {
      uint8_t ready = 0;
      poll_descriptors(&ends[1], &ready, 1, -1);
      const int got = receive_message(ends[1], &letter, sizeof letter, descriptors, 8);
      if (got == -EAGAIN) continue;
      if (got == 0) break;
      // The last message of all says how many each has sent.
      if (letter.sender == kThreads) {
        CHECK_EQUAL(memcmp(letter.bytes, next, sizeof next), 0);
        continue;
      }
      read_letter(letter, got, descriptors, next);
    }
    CHECK_EQUAL(receive_message(ends[1], &letter, sizeof letter, descriptors, 8), 0);
    close(ends[1]);
  });
  close(ends[1]);
  int sent[kThreads];
  const Clock clock(seconds);
  in_threads(kThreads, [&](int t) {
    sent[t] = letters(ends[0], t, Random(options.seed * 10 + static_cast<uint64_t>(t)), clock);
  });
  Letter last{};
  last.sender = kThreads;
  last.length = sizeof sent;
  memcpy(last.bytes, sent, sizeof sent);
  while (send_message(ends[0], &last, offsetof(Letter, bytes) + last.length, nullptr, 0) == -EAGAIN) pause_for(1);
  close(ends[0]);
  reap(reader);
}

// Messages that do not fit are gone with all that they carried.
void too_much() {
  int32_t ends[2];
  CHECK_EQUAL(socket_pair(ends), 0);
  char data[100] = {};
  int32_t descriptors[kMaxPassed];
  const std::vector<int32_t> carried(kMaxPassed, ends[0]);
  const int before = count_descriptors();
  CHECK_EQUAL(send_message(ends[0], data, sizeof data, carried.data(), 10), 0);
  CHECK_EQUAL(receive_message(ends[1], data, sizeof data, descriptors, 9), -EMSGSIZE);
  CHECK_EQUAL(send_message(ends[0], data, sizeof data, carried.data(), 10), 0);
  CHECK_EQUAL(receive_message(ends[1], data, sizeof data - 1, descriptors, 10), -EMSGSIZE);
  for (int i = 0; i < 10; i++) CHECK_EQUAL(descriptors[i], -1);
  CHECK_EQUAL(count_descriptors(), before);
  CHECK_EQUAL(send_message(ends[0], data, sizeof data, carried.data(), kMaxPassed), 0);
  CHECK_EQUAL(receive_message(ends[1], data, sizeof data, descriptors, kMaxPassed), sizeof data);
  for (const int32_t fd : descriptors) close(fd);
  CHECK_EQUAL(receive_message(ends[1], data, sizeof data, descriptors, 1), -EAGAIN);
  close(ends[0]);
  CHECK_EQUAL(receive_message(ends[1], data, sizeof data, descriptors, 1), 0);
  CHECK_EQUAL(send_message(ends[1], data, sizeof data, nullptr, 0), -EPIPE);
  close(ends[1]);
  CHECK_EQUAL(count_descriptors(), before - 2);
}

// Threads that start programs all the time: each gets its own descriptors, and each end is seen once.
void programs(const Options& options, double seconds) {
  const Clock clock(seconds);
  in_threads(3, [&](int t) {
    Random random(options.seed * 10 + static_cast<uint64_t>(t));
    while (clock.running()) {
      const int code = static_cast<int>(random.below(100));
      int ends[2];
      CHECK(pipe2(ends, O_CLOEXEC) == 0);
      const bool killed = random.one_in(3);
      const std::string line = killed ? "kill -9 $$" : "echo $0 >&3; exit $0";
      const int pid = spawn_program("/bin/sh", {"sh", "-c", line, std::to_string(code)}, {}, {-1, 1, 2, ends[1]});
      CHECK(pid > 0);
      close(ends[1]);
      const int pidfd = open_pidfd(pid);
      CHECK(pidfd >= 0);
      CHECK(fcntl(pidfd, F_GETFD) & FD_CLOEXEC);
      uint8_t ready = 0;
      while (poll_descriptors(&pidfd, &ready, 1, 1000) == 0) {
      }
      const int expected = killed ? 256 + SIGKILL : code;
      CHECK_EQUAL(exit_status(pidfd, false), expected);
      CHECK_EQUAL(exit_status(pidfd, true), expected);
      CHECK_EQUAL(exit_status(pidfd, true), -ECHILD);
      CHECK_EQUAL(signal_process(pidfd, 0), -ESRCH);
      // The other end is closed in all the other programs that were started meanwhile.
      char text[16] = {};
      ssize_t got = 0, n;
      while ((n = read(ends[0], text + got, sizeof text - 1 - static_cast<size_t>(got))) > 0) got += n;
      CHECK_EQUAL(atoi(text), killed ? 0 : code);
      close(ends[0]);
      close(pidfd);
    }
  });
  CHECK_EQUAL(spawn_program("/nowhere/program", {"x"}, {}, {-1}), -ENOENT);
}

void ends_together() {
  const pid_t first = in_child([] {
    for (;;) pause();
  });
  const int pidfd = open_pidfd(first);
  const pid_t second = in_child([&] {
    CHECK_EQUAL(die_with(pidfd), 0);
    for (;;) pause();
  });
  const int second_pidfd = open_pidfd(second);
  CHECK_EQUAL(exit_status(second_pidfd, false), -EAGAIN);
  kill(first, SIGKILL);
  reap(first, SIGKILL);
  reap(second, SIGKILL);
  close(pidfd);
  close(second_pidfd);
}

}  // namespace

void processes(const Options& options) {
  const int descriptors = count_descriptors();
  too_much();
  ends_together();
  every_letter_arrives(options, options.seconds / 2);
  programs(options, options.seconds / 2);
  CHECK_EQUAL(count_descriptors(), descriptors);
}

}  // namespace forklock::test
