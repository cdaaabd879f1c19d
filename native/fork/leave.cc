#include "leave.h"

#include <dlfcn.h>
#include <unistd.h>

#include <atomic>

namespace forklock {
namespace {

std::atomic<int> exit_code{0};  // of the process: it is a thread of Node's platform that may end it

// Handles and pointers to Environments are plain pointers to the ABI.
using Current = void* (*)();
using Context = void* (*)(void* isolate);
using EnvironmentOf = void* (*)(void* context);
using AtExit = void (*)(void* environment, void (*callback)(void*), void* data);

template <typename Function>
Function symbol(const char* name) {
  return reinterpret_cast<Function>(dlsym(RTLD_DEFAULT, name));
}

struct Symbols {
  Current current = symbol<Current>("_ZN2v87Isolate13TryGetCurrentEv");
  Context context = symbol<Context>("_ZN2v87Isolate17GetCurrentContextEv");
  EnvironmentOf environment_of = symbol<EnvironmentOf>("_ZN4node21GetCurrentEnvironmentEN2v85LocalINS0_7ContextEEE");
  AtExit at_exit = symbol<AtExit>("_ZN4node6AtExitEPNS_11EnvironmentEPFvPvES2_");
};

const Symbols& symbols() {
  static const Symbols found;
  return found;
}

}  // namespace

void find_way_out() { symbols(); }

void leave_before_teardown() {
  const Symbols& s = symbols();
  if (s.current == nullptr || s.context == nullptr || s.environment_of == nullptr || s.at_exit == nullptr) return;
  void* environment = s.environment_of(s.context(s.current()));
  if (environment != nullptr) s.at_exit(environment, [](void*) { leave_process(); }, nullptr);
}

void set_exit_code(int code) { exit_code.store(code); }

void leave_process() { _exit(exit_code.load()); }

}  // namespace forklock
