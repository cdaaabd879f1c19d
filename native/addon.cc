// The table of exports, and nothing else that could be elsewhere: arguments are checked in TypeScript (src/native.ts
// is the only caller), results are numbers, and a negative number is -errno.
#include <dlfcn.h>
#include <fcntl.h>
#include <napi.h>
#include <sys/random.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <deque>
#include <set>

#include "fork/fork.h"
#include "fork/helpers.h"
#include "fork/leave.h"
#include "fork/microtasks.h"
#include "memory.h"
#include "participant.h"
#include "process.h"
#include "socket.h"
#include "waiter.h"
#include "watch.h"

namespace forklock {
namespace {

using Napi::CallbackInfo;
using Napi::Value;

struct Opened {
  Segment* segment = nullptr;
  int slot = -1;  // of this environment's thread; -1: not a participant
};

// Everything that belongs to one environment (the main thread or one worker). No mutable statics.
struct Environment {
  explicit Environment(napi_env e)
      : env(e), waiters([this](uint32_t id) { report(id); }) {}

  napi_env env;
  std::vector<Opened> opened;  // JavaScript names segments by their index here
  Waiters waiters;
  napi_threadsafe_function wake_js = nullptr;
  uint32_t pending = 0;
  std::mutex mutex;
  std::deque<uint32_t> ready;  // guarded by mutex
  std::string why_not;         // why the last fork was refused
  Napi::FunctionReference at_rest;
  Watches* watches = nullptr;   // deletes itself
  std::set<int> descriptors;    // made or received for JavaScript: a worker that is terminated cannot close them
  bool ignores_interrupt = false;
  struct sigaction interrupt = {};  // what SIGINT did before it was ignored

  // Called on waiter threads. One call into JavaScript drains all that is ready by then.
  void report(uint32_t id) {
    bool first;
    {
      std::lock_guard<std::mutex> guard(mutex);
      first = ready.empty();
      ready.push_back(id);
    }
    if (first) napi_call_threadsafe_function(wake_js, nullptr, napi_tsfn_nonblocking);
  }

  Segment* at(int32_t index) const {
    if (index < 0 || static_cast<size_t>(index) >= opened.size()) return nullptr;
    return opened[static_cast<size_t>(index)].segment;
  }

  int32_t keep(Segment* segment, int error) {
    if (segment == nullptr) return error;
    for (size_t i = 0; i < opened.size(); i++) {
      if (opened[i].segment == segment) {  // the environment counts as one user, however often it opens it
        drop_user(segment);
        return static_cast<int32_t>(i);
      }
    }
    auto free = std::find_if(opened.begin(), opened.end(), [](const Opened& o) { return o.segment == nullptr; });
    if (free == opened.end()) free = opened.insert(opened.end(), Opened{});
    *free = Opened{segment, -1};
    return static_cast<int32_t>(free - opened.begin());
  }

  void release(size_t index) {
    Opened& o = opened[index];
    if (o.segment == nullptr) return;
    if (o.slot >= 0) leave(o.segment, static_cast<uint32_t>(o.slot));
    Segment* segment = o.segment;
    o = Opened{};
    drop_user(segment);
  }
};

Environment& self(const CallbackInfo& info) { return *static_cast<Environment*>(info.Data()); }
int32_t number(const CallbackInfo& info, size_t i) { return info[i].As<Napi::Number>().Int32Value(); }
double real(const CallbackInfo& info, size_t i) { return info[i].As<Napi::Number>().DoubleValue(); }
std::string text(const CallbackInfo& info, size_t i) { return info[i].As<Napi::String>().Utf8Value(); }
Value give(const CallbackInfo& info, double n) { return Napi::Number::New(info.Env(), n); }

struct Cookie {
  int32_t words[4];
  Cookie(const CallbackInfo& info, size_t first) {
    for (size_t i = 0; i < 4; i++) words[i] = number(info, first + i);
  }
};

// --- segments ---

Value CreateAnonymous(const CallbackInfo& info) {  // type, heap -> index
  int error = 0;
  Segment* s = create_anonymous(number(info, 0), static_cast<uint64_t>(real(info, 1)), &error);
  return give(info, self(info).keep(s, error));
}

Value CreateFile(const CallbackInfo& info) {  // directory, heap -> index of a file without a name yet
  int error = 0;
  Segment* s = create_file(text(info, 0).c_str(), static_cast<uint64_t>(real(info, 1)), &error);
  return give(info, self(info).keep(s, error));
}

Value Publish(const CallbackInfo& info) {  // index, directory, name
  Segment* s = self(info).at(number(info, 0));
  return give(info, s == nullptr ? -EBADF : publish(s, text(info, 1).c_str(), text(info, 2).c_str()));
}

Value OpenFile(const CallbackInfo& info) {  // directory, name -> index
  int error = 0;
  Segment* s = open_file(text(info, 0).c_str(), text(info, 1).c_str(), &error);
  return give(info, self(info).keep(s, error));
}

Value OpenDescriptor(const CallbackInfo& info) {  // pid, fd, inode, cookie x 4 -> index
  const uint64_t inode = static_cast<uint64_t>(real(info, 2));
  const Cookie cookie(info, 3);
  int error = -ESTALE;
  Segment* s = find_open(inode, cookie.words);
  if (s == nullptr) {
    s = open_descriptor(number(info, 0), number(info, 1), inode, &error);
    if (s != nullptr && !std::equal(cookie.words, cookie.words + 4, s->header()->cookie)) {
      drop_user(s);
      s = nullptr;
      error = -ESTALE;
    }
  }
  return give(info, self(info).keep(s, error));
}

Value CreateBare(const CallbackInfo& info) {  // directory, name, size -> index
  int error = 0;
  const uint64_t size = static_cast<uint64_t>(real(info, 2));
  Segment* s = create_bare(text(info, 0).c_str(), text(info, 1).c_str(), size, &error);
  return give(info, self(info).keep(s, error));
}

Value OpenBare(const CallbackInfo& info) {  // directory, name -> index
  int error = 0;
  Segment* s = open_bare(text(info, 0).c_str(), text(info, 1).c_str(), &error);
  return give(info, self(info).keep(s, error));
}

Value UnlinkName(const CallbackInfo& info) {  // directory, name
  return give(info, unlink_name(text(info, 0).c_str(), text(info, 1).c_str()));
}

Value Close(const CallbackInfo& info) {  // index
  Environment& e = self(info);
  const int32_t index = number(info, 0);
  if (e.at(index) == nullptr) return give(info, -EBADF);
  e.release(static_cast<size_t>(index));
  return give(info, 0);
}

Value Describe(const CallbackInfo& info) {  // index -> [fd, inode, type, heap, cookie x 4]
  Segment* s = self(info).at(number(info, 0));
  if (s == nullptr) return info.Env().Undefined();
  Napi::Array out = Napi::Array::New(info.Env(), 8);
  out[0u] = give(info, s->fd);
  out[1u] = give(info, static_cast<double>(s->inode));
  out[2u] = give(info, s->type);
  out[3u] = give(info, static_cast<double>(s->heap));
  for (uint32_t i = 0; i < 4; i++) out[4 + i] = give(info, s->type == 0 ? 0 : s->header()->cookie[i]);
  return out;
}

Value MapOver(const CallbackInfo& info) {  // index, Uint8Array over the whole buffer, offset
  Segment* s = self(info).at(number(info, 0));
  if (s == nullptr) return give(info, -EBADF);
  Napi::Uint8Array view = info[1].As<Napi::Uint8Array>();
  return give(info, map_over(s, view.Data(), static_cast<uint64_t>(real(info, 2)), view.ByteLength()));
}

// --- participants ---

Value Join(const CallbackInfo& info) {  // index -> slot
  Environment& e = self(info);
  const int32_t index = number(info, 0);
  Segment* s = e.at(index);
  if (s == nullptr || !s->has_slots()) return give(info, -EBADF);
  Opened& o = e.opened[static_cast<size_t>(index)];
  if (o.slot < 0) {
    const int slot = join(s);
    if (slot < 0) return give(info, slot);
    o.slot = slot;
  }
  return give(info, o.slot);
}

// The row entry of this participant for a cell, or null.
std::atomic<int16_t>* row_entry(const CallbackInfo& info) {
  Environment& e = self(info);
  const int32_t index = number(info, 0);
  const uint32_t cell = info[1].As<Napi::Number>().Uint32Value();
  Segment* s = e.at(index);
  if (s == nullptr || e.opened[static_cast<size_t>(index)].slot < 0 || cell >= s->row_cells()) return nullptr;
  return s->row(static_cast<uint32_t>(e.opened[static_cast<size_t>(index)].slot)) + cell;
}

Value Use(const CallbackInfo& info) {  // index, cell, on: this participant has the object open, or not any more
  std::atomic<int16_t>* entry = row_entry(info);
  if (entry == nullptr) return give(info, -EINVAL);
  if (info[2].As<Napi::Boolean>().Value()) {
    entry->fetch_or(kUsed);
  } else {
    entry->fetch_and(static_cast<int16_t>(~kUsed));
  }
  return give(info, 0);
}

Value CountWait(const CallbackInfo& info) {  // index, cell, +1 or -1
  std::atomic<int16_t>* entry = row_entry(info);
  if (entry == nullptr) return give(info, -EINVAL);
  const int by = number(info, 2);
  const int16_t now = entry->load();
  const int waits = std::clamp((now & kMaxWaits) + by, 0, static_cast<int>(kMaxWaits));
  entry->store(static_cast<int16_t>((now & kUsed) | waits));  // only this thread writes its row
  return give(info, 0);
}

// index, cell, what -> sum over the living participants: waits (0), or uses (1)
Value Sum(const CallbackInfo& info) {
  Segment* s = self(info).at(number(info, 0));
  const uint32_t cell = info[1].As<Napi::Number>().Uint32Value();
  if (s == nullptr || !s->has_slots() || cell >= s->row_cells()) return give(info, -EINVAL);
  const bool uses = number(info, 2) == 1;
  int sum = 0;
  for (uint32_t i = 0; i < s->high(); i++) {
    if (is_gone(alive_word(s, i)->load())) continue;
    const int16_t entry = s->row(i)[cell].load();
    sum += uses ? (entry & kUsed) != 0 : entry & kMaxWaits;
  }
  return give(info, sum);
}

// --- waiting ---

bool read_watch(const CallbackInfo& info, size_t first, Watch* w) {  // index, word, expected, members, owner, dead
  w->segment = self(info).at(number(info, first));
  if (w->segment == nullptr) return false;
  w->word = w->segment->word(info[first + 1].As<Napi::Number>().Uint32Value());
  w->expected = number(info, first + 2);
  w->members = number(info, first + 3);
  w->owner = number(info, first + 4);
  w->dead = number(info, first + 5);
  return w->word != nullptr;
}

Value Sleep(const CallbackInfo& info) {  // index, word, expected, members, owner, dead, ms
  Watch w;
  if (!read_watch(info, 0, &w)) return give(info, -EINVAL);
  sleep_on(w, real(info, 6));
  return give(info, 0);
}

Value EndSleeps(const CallbackInfo& info) {
  end_sleeps();
  return info.Env().Undefined();
}

Value Wake(const CallbackInfo& info) {  // index, word, n -> how many
  Segment* s = self(info).at(number(info, 0));
  Word* word = s == nullptr ? nullptr : s->word(info[1].As<Napi::Number>().Uint32Value());
  return give(info, word == nullptr ? -EINVAL : futex_wake(word, number(info, 2)));
}

// A pending wait keeps the process alive as a timer would; when there is none, nothing of ours does.
void count_pending(Environment& e, int by) {
  const uint32_t before = e.pending;
  e.pending += static_cast<uint32_t>(by);
  if (before == 0 && e.pending > 0) napi_ref_threadsafe_function(e.env, e.wake_js);
  if (before > 0 && e.pending == 0) napi_unref_threadsafe_function(e.env, e.wake_js);
}

void end_waiting(void* data) {
  Environment& e = *static_cast<Environment*>(data);
  e.waiters.stop();  // joined here: a thread that calls into an environment that is gone aborts the process
  napi_release_threadsafe_function(e.wake_js, napi_tsfn_abort);
  e.wake_js = nullptr;
}

Value OnReady(const CallbackInfo& info) {  // callback: called, without arguments, when NextReady has something
  Environment& e = self(info);
  napi_value name;
  napi_create_string_utf8(e.env, "forklock", NAPI_AUTO_LENGTH, &name);
  if (napi_create_threadsafe_function(e.env, info[0], nullptr, name, 0, 1, nullptr, nullptr, nullptr, nullptr,
                                      &e.wake_js) != napi_ok) {
    return give(info, -ENOMEM);
  }
  napi_unref_threadsafe_function(e.env, e.wake_js);
  // Hooks run last in, first out: after this one the thread-safe function's own, before it nothing of it has ended.
  napi_add_env_cleanup_hook(e.env, end_waiting, &e);
  return give(info, 0);
}

Value SleepAsync(const CallbackInfo& info) {  // id, index, word, expected, members, owner, dead
  Environment& e = self(info);
  Watch w;
  if (!read_watch(info, 1, &w)) return give(info, -EINVAL);
  e.waiters.add(info[0].As<Napi::Number>().Uint32Value(), w);
  count_pending(e, 1);
  return give(info, 0);
}

Value CancelAsync(const CallbackInfo& info) {  // id
  Environment& e = self(info);
  const uint32_t id = info[0].As<Napi::Number>().Uint32Value();
  bool found = e.waiters.remove(id);
  if (!found) {
    std::lock_guard<std::mutex> guard(e.mutex);
    const auto it = std::find(e.ready.begin(), e.ready.end(), id);
    found = it != e.ready.end();
    if (found) e.ready.erase(it);
  }
  if (found) count_pending(e, -1);
  return give(info, found ? 1 : 0);
}

Value NextReady(const CallbackInfo& info) {  // -> id, or -1
  Environment& e = self(info);
  uint32_t id;
  {
    std::lock_guard<std::mutex> guard(e.mutex);
    if (e.ready.empty()) return give(info, -1);
    id = e.ready.front();
    e.ready.pop_front();
  }
  count_pending(e, -1);
  return give(info, id);
}

// --- fork ---

// In the child, with all signals blocked: a participant of its own, with no wait pending. Returns 0 or -errno.
int start_anew(Environment& e) {
  // A signal that is blocked is not thrown away for being ignored: one that came in the meantime still ends the child.
  if (e.ignores_interrupt) sigaction(SIGINT, &e.interrupt, nullptr);
  e.ignores_interrupt = false;
  e.waiters.abandon();
  e.ready.clear();
  if (e.pending > 0) count_pending(e, -static_cast<int>(e.pending));
  for (Opened& o : e.opened) {
    if (o.slot < 0) continue;
    o.slot = join_after_fork(o.segment, static_cast<uint32_t>(o.slot));
    if (o.slot < 0) return o.slot;
  }
  return 0;
}

// descriptors to keep, whether listening sockets are kept, whether helper threads are -> pid, 0, or -errno
Value Fork(const CallbackInfo& info) {
  Environment& e = self(info);
  Keep keep{{}, info[1].As<Napi::Boolean>().Value()};
  const Napi::Array descriptors = info[0].As<Napi::Array>();
  for (uint32_t i = 0; i < descriptors.Length(); i++) {
    keep.descriptors.push_back(descriptors.Get(i).As<Napi::Number>().Int32Value());
  }
  uv_loop_t* loop = nullptr;
  if (napi_get_uv_event_loop(e.env, &loop) != napi_ok) return give(info, -EINVAL);
  e.why_not.clear();
  const bool with_helpers = info[2].As<Napi::Boolean>().Value();
  const int result = fork_process(loop, keep, with_helpers, [&e] { return start_anew(e); }, &e.why_not);
  if (result >= 0) e.why_not.clear();
  return give(info, result);
}

Value WhyNoFork(const CallbackInfo& info) {  // on this machine
  const char* reason = why_no_helpers();
  return Napi::String::New(info.Env(), reason == nullptr ? "" : reason);
}

Value ForkRefusal(const CallbackInfo& info) { return Napi::String::New(info.Env(), self(info).why_not); }

Value ChildIsReady(const CallbackInfo& info) {
  child_is_ready();
  return info.Env().Undefined();
}

Value ForkTimesOf(const CallbackInfo& info) {  // -> [park, pages, fork, handshake] in ns
  const ForkTimes& t = fork_times();
  const double values[] = {t.park, t.pages, t.fork, t.handshake};
  Napi::Array out = Napi::Array::New(info.Env());
  for (uint32_t i = 0; i < 4; i++) out[i] = give(info, values[i]);
  return out;
}

Value CanDropCalls(const CallbackInfo& info) { return Napi::Boolean::New(info.Env(), can_drop_microtasks()); }

Value DropCalls(const CallbackInfo& info) {  // an error that a listener handles
  // Node keeps a stack of its own of who called whom (async_hooks), and aborts when it is not empty in the end. It
  // empties it after an uncaught exception that was handled.
  napi_fatal_exception(info.Env(), info[0]);
  drop_microtasks();
  return info.Env().Undefined();
}

// callback: gets the number of active handles before the loop blocks for what may be nothing of this process's own
Value OnRest(const CallbackInfo& info) {
  Environment& e = self(info);
  e.at_rest = Napi::Persistent(info[0].As<Napi::Function>());
  uv_loop_t* loop = nullptr;
  if (napi_get_uv_event_loop(e.env, &loop) != napi_ok) return give(info, -EINVAL);
  watch_for_rest(loop, [&e](unsigned int handles) {
    Napi::HandleScope scope(e.env);
    e.at_rest.MakeCallback(Napi::Object::New(e.env), {Napi::Number::New(e.env, handles)});
  });
  return give(info, 0);
}

Value RandomWords(const CallbackInfo& info) {  // -> 4 words that no other process has
  uint32_t words[4] = {};
  size_t got = 0;
  while (got < sizeof words) {
    const ssize_t n = getrandom(reinterpret_cast<char*>(words) + got, sizeof words - got, 0);
    if (n < 0 && errno != EINTR) return give(info, -errno);
    if (n > 0) got += static_cast<size_t>(n);
  }
  Napi::Array out = Napi::Array::New(info.Env(), 4);
  for (uint32_t i = 0; i < 4; i++) out[i] = give(info, words[i]);
  return out;
}

Value SetExitCode(const CallbackInfo& info) {
  set_exit_code(number(info, 0));
  return info.Env().Undefined();
}

Value LeaveProcess(const CallbackInfo& info) {
  Environment& e = self(info);
  for (Opened& o : e.opened) {  // as a thread that ends does: others need not find out by themselves
    if (o.slot >= 0) leave(o.segment, static_cast<uint32_t>(o.slot));
  }
  set_exit_code(number(info, 0));
  leave_process();
}

// --- processes ---

int kept(const CallbackInfo& info, int fd) {
  if (fd >= 0) self(info).descriptors.insert(fd);
  return fd;
}

std::vector<std::string> texts(const CallbackInfo& info, size_t i) {
  Napi::Array list = info[i].As<Napi::Array>();
  std::vector<std::string> out(list.Length());
  for (uint32_t j = 0; j < out.size(); j++) out[j] = list.Get(j).As<Napi::String>().Utf8Value();
  return out;
}

Value Getpid(const CallbackInfo& info) { return give(info, getpid()); }
Value Getppid(const CallbackInfo& info) { return give(info, getppid()); }

Value PidfdOpen(const CallbackInfo& info) {  // pid -> fd
  return give(info, kept(info, open_pidfd(number(info, 0))));
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

Value SpawnProgram(const CallbackInfo& info) {  // file, argv, environment, Int32Array of descriptors -> pid
  Napi::Int32Array fds = info[3].As<Napi::Int32Array>();
  const std::vector<int> descriptors(fds.Data(), fds.Data() + fds.ElementLength());
  return give(info, spawn_program(text(info, 0), texts(info, 1), texts(info, 2), descriptors));
}

Value SealedMemory(const CallbackInfo& info) {  // Uint8Array -> fd
  Napi::Uint8Array data = info[0].As<Napi::Uint8Array>();
  return give(info, kept(info, sealed_memory(data.Data(), data.ByteLength())));
}

Value SocketPair(const CallbackInfo& info) {  // Int32Array(2), filled
  Napi::Int32Array ends = info[0].As<Napi::Int32Array>();
  if (ends.ElementLength() < 2) return give(info, -EINVAL);
  const int failed = socket_pair(ends.Data());
  if (failed == 0) kept(info, ends[0]), kept(info, ends[1]);
  return give(info, failed);
}

Value SendMessage(const CallbackInfo& info) {  // socket, Uint8Array, Int32Array of descriptors
  Napi::Uint8Array data = info[1].As<Napi::Uint8Array>();
  Napi::Int32Array fds = info[2].As<Napi::Int32Array>();
  return give(info, send_message(number(info, 0), data.Data(), data.ByteLength(), fds.Data(), fds.ElementLength()));
}

Value ReceiveMessage(const CallbackInfo& info) {  // socket, Uint8Array, Int32Array, both filled -> bytes
  Napi::Uint8Array data = info[1].As<Napi::Uint8Array>();
  Napi::Int32Array fds = info[2].As<Napi::Int32Array>();
  const int got =
      receive_message(number(info, 0), data.Data(), data.ByteLength(), fds.Data(), fds.ElementLength());
  for (size_t i = 0; got >= 0 && i < fds.ElementLength(); i++) kept(info, fds[i]);
  return give(info, got);
}

Value Adopt(const CallbackInfo& info) {  // fd: inherited, from now on as one that was made here
  const int fd = number(info, 0);
  return give(info, fcntl(fd, F_SETFD, FD_CLOEXEC) == 0 ? kept(info, fd) : -errno);
}

Value CloseDescriptor(const CallbackInfo& info) {  // fd: one that was made or received here
  const int fd = number(info, 0);
  if (self(info).descriptors.erase(fd) == 0) return give(info, -EBADF);
  return give(info, close(fd) == 0 ? 0 : -errno);
}

Value Duplicate(const CallbackInfo& info) {  // fd -> another number of the same file
  const int copy = fcntl(number(info, 0), F_DUPFD_CLOEXEC, 3);
  return give(info, copy < 0 ? -errno : kept(info, copy));
}

Value Redirect(const CallbackInfo& info) {  // from, to: both are the same file then; kept over an exec
  return give(info, dup2(number(info, 0), number(info, 1)) < 0 ? -errno : 0);
}

Value OnReadable(const CallbackInfo& info) {  // callback: called with a watched descriptor that is readable
  Environment& e = self(info);
  e.watches = Watches::make(e.env, info[0]);
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

Value DieWithParentThread(const CallbackInfo& info) { return give(info, die_with_parent_thread()); }

Value IgnoreInterrupt(const CallbackInfo& info) {  // in this process; not in the children that it forks
  struct sigaction ignore = {};
  ignore.sa_handler = SIG_IGN;
  Environment& e = self(info);
  e.ignores_interrupt = sigaction(SIGINT, &ignore, &e.interrupt) == 0;
  return give(info, e.ignores_interrupt ? 0 : -errno);
}

Value ForcePlainFutex(const CallbackInfo& info) {
  force_plain_futex(info[0].As<Napi::Boolean>().Value());
  return info.Env().Undefined();
}

Value Numbers(const CallbackInfo& info) {  // what src/memory/layout.ts compares its constants with
  const double values[] = {static_cast<double>(libc_abi()),
                           static_cast<double>(alive_word_index()),
                           kLayoutVersion,
                           static_cast<double>(kSlotsOffset),
                           sizeof(Slot),
                           kSlots,
                           static_cast<double>(kHeapOffset),
                           kCell,
                           kSingleCells,
                           static_cast<double>(kDataOffset)};
  Napi::Array out = Napi::Array::New(info.Env());
  for (uint32_t i = 0; i < sizeof values / sizeof values[0]; i++) out[i] = give(info, values[i]);
  return out;
}

// A worker that ends leaves its slots here, on its own thread: unlike its death, this needs no kernel walk.
void end_environment(void* data) {
  Environment* e = static_cast<Environment*>(data);
  for (size_t i = 0; i < e->opened.size(); i++) e->release(i);
  for (const int fd : e->descriptors) close(fd);
  delete e;
}

// Node closes the library with the last environment that loaded it; the table of segments must outlive that.
void pin_library() {
  Dl_info where;
  if (dladdr(reinterpret_cast<void*>(&pin_library), &where) != 0) {
    dlopen(where.dli_fname, RTLD_NOW | RTLD_NODELETE | RTLD_NOLOAD);
  }
}

Napi::Object Init(Napi::Env env, Napi::Object exports) {
  pin_library();
  auto* e = new Environment(env);
  napi_add_env_cleanup_hook(env, end_environment, e);
  const auto add = [&](const char* name, auto function) {
    exports.Set(name, Napi::Function::New(env, function, name, e));
  };
  add("createAnonymous", CreateAnonymous);
  add("createFile", CreateFile);
  add("publish", Publish);
  add("openFile", OpenFile);
  add("openDescriptor", OpenDescriptor);
  add("createBare", CreateBare);
  add("openBare", OpenBare);
  add("unlinkName", UnlinkName);
  add("close", Close);
  add("describe", Describe);
  add("mapOver", MapOver);
  add("join", Join);
  add("use", Use);
  add("countWait", CountWait);
  add("sum", Sum);
  add("sleep", Sleep);
  add("endSleeps", EndSleeps);
  add("wake", Wake);
  add("onReady", OnReady);
  add("sleepAsync", SleepAsync);
  add("cancelAsync", CancelAsync);
  add("nextReady", NextReady);
  add("fork", Fork);
  add("whyNoFork", WhyNoFork);
  add("forkRefusal", ForkRefusal);
  add("childIsReady", ChildIsReady);
  add("forkTimes", ForkTimesOf);
  add("canDropCalls", CanDropCalls);
  add("dropCalls", DropCalls);
  add("onRest", OnRest);
  add("randomWords", RandomWords);
  add("setExitCode", SetExitCode);
  add("leaveProcess", LeaveProcess);
  add("getpid", Getpid);
  add("getppid", Getppid);
  add("pidfdOpen", PidfdOpen);
  add("pidfdSignal", PidfdSignal);
  add("exitStatus", ExitStatus);
  add("poll", Poll);
  add("pollOne", PollOne);
  add("spawnProgram", SpawnProgram);
  add("sealedMemory", SealedMemory);
  add("socketPair", SocketPair);
  add("sendMessage", SendMessage);
  add("receiveMessage", ReceiveMessage);
  add("adopt", Adopt);
  add("duplicate", Duplicate);
  add("closeDescriptor", CloseDescriptor);
  add("redirect", Redirect);
  add("onReadable", OnReadable);
  add("watch", WatchDescriptor);
  add("keepWatch", KeepWatch);
  add("unwatch", Unwatch);
  add("dieWith", DieWith);
  add("dieWithParentThread", DieWithParentThread);
  add("ignoreInterrupt", IgnoreInterrupt);
  add("forcePlainFutex", ForcePlainFutex);
  add("numbers", Numbers);
  return exports;
}

}  // namespace

NODE_API_MODULE(forklock, Init)

}  // namespace forklock
