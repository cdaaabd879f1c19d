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

}  // namespace

void leave_before_teardown() {
  const auto current = symbol<Current>("_ZN2v87Isolate13TryGetCurrentEv");
  const auto context = symbol<Context>("_ZN2v87Isolate17GetCurrentContextEv");
  const auto environment_of = symbol<EnvironmentOf>("_ZN4node21GetCurrentEnvironmentEN2v85LocalINS0_7ContextEEE");
  const auto at_exit = symbol<AtExit>("_ZN4node6AtExitEPNS_11EnvironmentEPFvPvES2_");
  if (current == nullptr || context == nullptr || environment_of == nullptr || at_exit == nullptr) return;
  void* environment = environment_of(context(current()));
  if (environment != nullptr) at_exit(environment, [](void*) { leave_process(); }, nullptr);
}

void set_exit_code(int code) { exit_code.store(code); }

void leave_process() { _exit(exit_code.load()); }

}  // namespace forklock
