// Other processes: started, watched, talked to.
#include "instance.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <optional>

#include "../dispositions.h"
#include "../orphans.h"
#include "../process.h"
#include "../socket.h"
#include "../standing.h"

namespace forklock {
namespace {

Value Getpid(const CallbackInfo& info) { return give(info, getpid()); }
Value Getppid(const CallbackInfo& info) { return give(info, getppid()); }

Value Umask(const CallbackInfo& info) { return give(info, read_umask()); }

Value PidfdOpen(const CallbackInfo& info) {  // pid -> fd
  Room room(self(info).descriptors);
  return give(info, room.keep(open_pidfd(number(info, 0))));
}

Value PidfdSignal(const CallbackInfo& info) {  // pidfd, signal
  return give(info, signal_process(number(info, 0), number(info, 1)));
}

Value ExitStatus(const CallbackInfo& info) {  // pidfd, reap -> code, or 256 + signal
  return give(info, exit_status(number(info, 0), info[1].As<Napi::Boolean>().Value()));
}

Value Poll(const CallbackInfo& info) {  // Int32Array, Uint8Array of the same length, ms -> how many
  Napi::Int32Array fds = info[0].As<Napi::Int32Array>();
  Napi::Uint8Array ready = info[1].As<Napi::Uint8Array>();
  if (ready.ElementLength() < fds.ElementLength()) return give(info, -EINVAL);
  return give(info, poll_descriptors(fds.Data(), ready.Data(), static_cast<uint32_t>(fds.ElementLength()),
                                     number(info, 2)));
}

Value PollOne(const CallbackInfo& info) {  // fd, ms -> 1: readable
  const int32_t fd = number(info, 0);
  uint8_t ready = 0;
  return give(info, poll_descriptors(&fd, &ready, 1, number(info, 1)));
}

// file, argv, environment, Int32Array of descriptors, Int32Array(1) that gets the pidfd -> pid
Value SpawnProgram(const CallbackInfo& info) {
  Napi::Int32Array fds = info[3].As<Napi::Int32Array>();
  const std::vector<int> descriptors(fds.Data(), fds.Data() + fds.ElementLength());
  std::vector<std::string> argv;
  std::vector<std::string> environment;
  int failed = read_texts(info, 1, &argv);
  if (failed == 0) failed = read_texts(info, 2, &environment);
  if (failed != 0) return give(info, failed);
  Room room(self(info).descriptors);
  const StandardPlaces places;  // else the pidfd might have to be moved, and fail, when the program runs already
  const int pid = spawn_program(text(info, 0), argv, environment, descriptors);
  if (pid < 0) return give(info, pid);
  const int pidfd = room.keep(pidfd_of_child(pid));
  info[4].As<Napi::Int32Array>()[0] = pidfd;
  return give(info, pidfd < 0 ? pidfd : pid);
}

Value SealedMemory(const CallbackInfo& info) {  // Uint8Array -> fd
  Napi::Uint8Array data = info[0].As<Napi::Uint8Array>();
  Room room(self(info).descriptors);
  return give(info, room.keep(sealed_memory(data.Data(), data.ByteLength())));
}

Value SocketPair(const CallbackInfo& info) {  // Int32Array(2), filled
  Napi::Int32Array ends = info[0].As<Napi::Int32Array>();
  if (ends.ElementLength() < 2) return give(info, -EINVAL);
  Room ours(self(info).descriptors);
  Room theirs(self(info).descriptors);
  const StandardPlaces places;  // both or none
  const int failed = socket_pair(ends.Data());
  if (failed != 0) return give(info, failed);
  ends[0] = ours.keep(ends[0]);
  ends[1] = theirs.keep(ends[1]);
  return give(info, 0);
}

Value SendMessage(const CallbackInfo& info) {  // socket, Uint8Array, Int32Array of descriptors
  Napi::Uint8Array data = info[1].As<Napi::Uint8Array>();
  Napi::Int32Array fds = info[2].As<Napi::Int32Array>();
  return give(info, send_message(number(info, 0), data.Data(), data.ByteLength(), fds.Data(), fds.ElementLength()));
}

Value ReceiveMessage(const CallbackInfo& info) {  // socket, Uint8Array, Int32Array, both filled -> bytes
  Napi::Uint8Array data = info[1].As<Napi::Uint8Array>();
  Napi::Int32Array fds = info[2].As<Napi::Int32Array>();
  std::optional<StandardPlaces> places;  // all of them or none
  if (fds.ElementLength() > 0) places.emplace();
  const int got =
      receive_message(number(info, 0), data.Data(), data.ByteLength(), fds.Data(), fds.ElementLength());
  size_t known = 0;
  const int failed = caught([&] {
    for (; got >= 0 && known < fds.ElementLength() && fds[known] >= 0; known++) self(info).descriptors.insert(fds[known]);
    return 0;
  });
  if (failed == 0) return give(info, got);
  for (size_t i = 0; i < fds.ElementLength() && fds[i] >= 0; i++) {
    self(info).descriptors.erase(fds[i]);
    close(fds[i]);
  }
  return give(info, failed);
}

Value Adopt(const CallbackInfo& info) {  // fd: inherited, from now on as one that was made here
  const int fd = number(info, 0);
  Room room(self(info).descriptors);
  return give(info, fcntl(fd, F_SETFD, FD_CLOEXEC) == 0 ? room.keep(fd) : -errno);
}

Value CloseDescriptor(const CallbackInfo& info) {  // fd: one that was made or received here
  const int fd = number(info, 0);
  if (self(info).descriptors.erase(fd) == 0) return give(info, -EBADF);
  return give(info, close(fd) == 0 ? 0 : -errno);
}

Value Duplicate(const CallbackInfo& info) {  // fd -> another number of the same file
  Room room(self(info).descriptors);
  const int copy = fcntl(number(info, 0), F_DUPFD_CLOEXEC, 3);
  return give(info, copy < 0 ? -errno : room.keep(copy));
}

Value Redirect(const CallbackInfo& info) {  // from, to: both are the same file then; kept over an exec
  return give(info, dup2(number(info, 0), number(info, 1)) < 0 ? -errno : 0);
}

Value CloseInput(const CallbackInfo& info) {  // needs no descriptor besides 0, which may be the last one
  close(STDIN_FILENO);
  const int fd = open("/dev/null", O_RDWR);
  if (fd < 0) return give(info, -errno);
  if (fd == STDIN_FILENO) return give(info, 0);
  const int result = dup2(fd, STDIN_FILENO) < 0 ? -errno : 0;
  close(fd);
  return give(info, result);
}

Value IsOpen(const CallbackInfo& info) {  // fd -> 1 or 0
  return give(info, fcntl(number(info, 0), F_GETFD) >= 0);
}

Value OpenWorkingDirectory(const CallbackInfo& info) {  // -> fd
  Room room(self(info).descriptors);
  return give(info, room.keep(open_working_directory()));
}

Value EnterDirectory(const CallbackInfo& info) {  // fd
  return give(info, enter_directory(number(info, 0)));
}

Value EndSending(const CallbackInfo& info) {  // socket: nothing more comes from here
  return give(info, shutdown(number(info, 0), SHUT_WR) == 0 ? 0 : -errno);
}

Value OnReadable(const CallbackInfo& info) {  // callback: called with a watched descriptor that is readable
  Instance& e = self(info);
  if (!e.on_readable.set(info, "onReadableCallback")) return give(info, -ENOMEM);
  e.watches = Watches::make(
      e.env, [&e] { return e.on_readable.function(); }, [&e](bool on) { e.on_readable.keep(on); });
  return give(info, e.watches == nullptr ? -ENOMEM : 0);
}

Value WatchDescriptor(const CallbackInfo& info) {  // fd, keep the loop alive
  return give(info, self(info).watches->add(number(info, 0), info[1].As<Napi::Boolean>().Value()));
}

Value KeepWatch(const CallbackInfo& info) {  // fd, keep the loop alive
  return give(info, self(info).watches->keep(number(info, 0), info[1].As<Napi::Boolean>().Value()));
}

Value Unwatch(const CallbackInfo& info) {  // fd
  return give(info, self(info).watches->remove(number(info, 0)));
}

Value DieWith(const CallbackInfo& info) {  // pidfd
  return give(info, die_with(number(info, 0)));
}

Value SignalAtEndOfParent(const CallbackInfo& info) {  // signal
  return give(info, signal_at_end_of_parent(number(info, 0)));
}

Value AnnounceOrphan(const CallbackInfo& info) {
  announce_orphan();
  return info.Env().Undefined();
}

Value IsStopped(const CallbackInfo& info) {  // pidfd of a child -> 1 or 0
  return give(info, is_stopped(number(info, 0)));
}

Value IgnoreGroupSignals(const CallbackInfo& info) {
  ignore_group_signals();
  return info.Env().Undefined();
}

Value HeedGroupSignals(const CallbackInfo& info) {
  heed_group_signals();
  return info.Env().Undefined();
}

Value Standing(const CallbackInfo& info) {  // -> text to compare
  const std::vector<uint64_t> numbers = standing();
  return Napi::String::New(info.Env(), reinterpret_cast<const char16_t*>(numbers.data()), numbers.size() * 4);
}

Value StartsHidden(const CallbackInfo& info) { return Napi::Boolean::New(info.Env(), starts_hidden()); }

}  // namespace

void export_processes(Exports* exports) {
  exports->add("getpid", Getpid);
  exports->add("getppid", Getppid);
  exports->add("umask", Umask);
  exports->add("pidfdOpen", PidfdOpen);
  exports->add("pidfdSignal", PidfdSignal);
  exports->add("exitStatus", ExitStatus);
  exports->add("poll", Poll);
  exports->add("pollOne", PollOne);
  exports->add("spawnProgram", SpawnProgram);
  exports->add("sealedMemory", SealedMemory);
  exports->add("socketPair", SocketPair);
  exports->add("sendMessage", SendMessage);
  exports->add("receiveMessage", ReceiveMessage);
  exports->add("adopt", Adopt);
  exports->add("duplicate", Duplicate);
  exports->add("closeDescriptor", CloseDescriptor);
  exports->add("redirect", Redirect);
  exports->add("closeInput", CloseInput);
  exports->add("onReadable", OnReadable);
  exports->add("watch", WatchDescriptor);
  exports->add("keepWatch", KeepWatch);
  exports->add("unwatch", Unwatch);
  exports->add("dieWith", DieWith);
  exports->add("signalAtEndOfParent", SignalAtEndOfParent);
  exports->add("announceOrphan", AnnounceOrphan);
  exports->add("isStopped", IsStopped);
  exports->add("isOpen", IsOpen);
  exports->add("openWorkingDirectory", OpenWorkingDirectory);
  exports->add("enterDirectory", EnterDirectory);
  exports->add("endSending", EndSending);
  exports->add("ignoreGroupSignals", IgnoreGroupSignals);
  exports->add("heedGroupSignals", HeedGroupSignals);
  exports->add("standing", Standing);
  exports->add("startsHidden", StartsHidden);
}

}  // namespace forklock
