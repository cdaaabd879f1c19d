// fork(2), and what its child needs.
#include "js-thread.h"

#include <sys/random.h>

#include <cerrno>

#include "../dispositions.h"
#include "../fork/calls.h"
#include "../fork/fork.h"
#include "../fork/helpers.h"
#include "../fork/leave.h"
#include "../fork/output.h"
#include "../fork/rest.h"
#include "../orphans.h"

namespace forklock {
namespace {

// Int32Array of descriptors to keep, whether listening sockets are kept, whether helper threads are, Int32Array(1) that gets the pidfd
// -> pid, or 0 in the child
Value Fork(const CallbackInfo& info) {
  Instance& e = self(info);
  Keep keep{{}, info[1].As<Napi::Boolean>().Value()};
  const Napi::Int32Array descriptors = info[0].As<Napi::Int32Array>();
  keep.descriptors.assign(descriptors.Data(), descriptors.Data() + descriptors.ElementLength());
  uv_loop_t* loop = nullptr;
  if (napi_get_uv_event_loop(e.env, &loop) != napi_ok) return give(info, -EINVAL);
  e.why_not.clear();
  Room room(e.descriptors);
  const bool with_helpers = info[2].As<Napi::Boolean>().Value();
  const Forked made = fork_process(loop, keep, with_helpers, [&e] { return e.thread->start_anew(); }, &e.why_not);
  if (made.pid >= 0) e.why_not.clear();
  room.keep(made.pidfd);
  info[3].As<Napi::Int32Array>()[0] = made.pidfd;
  return give(info, made.pid);
}

Value WhyNoFork(const CallbackInfo& info) {  // on this machine
  const char* reason = why_no_helpers();
  return Napi::String::New(info.Env(), reason == nullptr ? "" : reason);
}

Value ForkRefusal(const CallbackInfo& info) { return Napi::String::New(info.Env(), self(info).why_not); }

// In the child of a fork by another copy of the addon. -> 0 or -errno
Value StartAnew(const CallbackInfo& info) { return give(info, self(info).thread->start_anew()); }

Value ChildIsReady(const CallbackInfo& info) {
  child_is_ready();
  return info.Env().Undefined();
}

Value ChildGivesUp(const CallbackInfo& info) {  // the reason
  self(info).thread->leave_slots();
  child_gives_up(text(info, 0));
}

Value ForkTimesOf(const CallbackInfo& info) {  // -> [park, pages, fork, handshake] in ns
  const ForkTimes& t = fork_times();
  return give(info, {t.park, t.pages, t.fork, t.handshake});
}

Value CanLeaveCalls(const CallbackInfo& info) { return Napi::Boolean::New(info.Env(), can_leave_calls()); }

Value LeaveCalls(const CallbackInfo& info) {
  drop_microtasks();
  child_is_ready();
  leave_calls();
  return info.Env().Undefined();
}

// callback: gets the number of active handles before the loop blocks for what may be nothing of this process's own
Value OnRest(const CallbackInfo& info) {
  Instance& e = self(info);
  e.at_rest = Napi::Persistent(info[0].As<Napi::Function>());
  uv_loop_t* loop = nullptr;
  if (napi_get_uv_event_loop(e.env, &loop) != napi_ok) return give(info, -EINVAL);
  watch_for_rest(loop, [&e](unsigned int handles) {
    Napi::HandleScope scope(e.env);
    e.at_rest.MakeCallback(Napi::Object::New(e.env), {Napi::Number::New(e.env, handles)});
    raise_uncaught(e.env);  // what a handler of beforeExit throws
  });
  return give(info, 0);
}

Value LeaveLoop(const CallbackInfo& info) {  // for a moment: Node lets V8's tasks end, and comes back when it is alive
  uv_loop_t* loop = nullptr;
  if (napi_get_uv_event_loop(self(info).env, &loop) == napi_ok) uv_stop(loop);
  return info.Env().Undefined();
}

Value RandomFill(const CallbackInfo& info) {  // Uint8Array, filled with what no other process has -> 0 or -errno
  Napi::Uint8Array bytes = info[0].As<Napi::Uint8Array>();
  size_t got = 0;
  while (got < bytes.ByteLength()) {
    const ssize_t n = getrandom(bytes.Data() + got, bytes.ByteLength() - got, 0);
    if (n < 0 && errno != EINTR) return give(info, -errno);
    if (n > 0) got += static_cast<size_t>(n);
  }
  return give(info, 0);
}

Value SetExitCode(const CallbackInfo& info) {
  set_exit_code(number(info, 0));
  return info.Env().Undefined();
}

Value FlushOutput(const CallbackInfo& info) {
  uv_loop_t* loop = nullptr;
  const bool some = napi_get_uv_event_loop(self(info).env, &loop) == napi_ok && flush_output(loop);
  return Napi::Boolean::New(info.Env(), some);
}

Value LeftRequests(const CallbackInfo& info) { return Napi::Boolean::New(info.Env(), left_requests()); }

Value LeftOutput(const CallbackInfo& info) { return Napi::Boolean::New(info.Env(), left_output()); }

Value LeaveBeforeTeardown(const CallbackInfo& info) {
  leave_before_teardown();
  return info.Env().Undefined();
}

Value LeaveProcess(const CallbackInfo& info) {
  self(info).thread->leave_slots();
  set_exit_code(number(info, 0));
  leave_process();
}

}  // namespace

void export_fork(Exports* exports) {
  exports->add("fork", Fork);
  exports->add("whyNoFork", WhyNoFork);
  exports->add("forkRefusal", ForkRefusal);
  exports->add("startAnew", StartAnew);
  exports->add("childIsReady", ChildIsReady);
  exports->add("childGivesUp", ChildGivesUp);
  exports->add("forkTimes", ForkTimesOf);
  exports->add("canLeaveCalls", CanLeaveCalls);
  exports->add("leaveCalls", LeaveCalls);
  exports->add("onRest", OnRest);
  exports->add("leaveLoop", LeaveLoop);
  exports->add("randomFill", RandomFill);
  exports->add("setExitCode", SetExitCode);
  exports->add("leftRequests", LeftRequests);
  exports->add("leftOutput", LeftOutput);
  exports->add("flushOutput", FlushOutput);
  exports->add("leaveBeforeTeardown", LeaveBeforeTeardown);
  exports->add("leaveProcess", LeaveProcess);
}

}  // namespace forklock
