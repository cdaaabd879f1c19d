#include "dispositions.h"

#include <csignal>

namespace forklock {
namespace {

// Those that end, or stop, a process that has said nothing about them. Not those of errors in it, nor of limits.
constexpr int kSignals[] = {SIGHUP,  SIGINT,    SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGALRM, SIGVTALRM,
                            SIGPROF, SIGSTKFLT, SIGIO,   SIGPWR,  SIGTSTP, SIGTTIN, SIGTTOU};
constexpr int kCount = sizeof kSignals / sizeof kSignals[0];

// Dispositions are the process's, not an environment's; and only the main thread of a fork server comes here.
bool ignored[kCount];
struct sigaction before[kCount];

}  // namespace

void ignore_group_signals() {
  struct sigaction ignore = {};
  ignore.sa_handler = SIG_IGN;
  for (int i = 0; i < kCount; i++) {
    struct sigaction now;
    if (sigaction(kSignals[i], nullptr, &now) != 0 || now.sa_handler == SIG_IGN) continue;
    ignored[i] = sigaction(kSignals[i], &ignore, &before[i]) == 0;
  }
}

void heed_group_signals() {
  for (int i = 0; i < kCount; i++) {
    struct sigaction now;
    if (!ignored[i]) continue;
    ignored[i] = false;
    if (sigaction(kSignals[i], nullptr, &now) == 0 && now.sa_handler == SIG_IGN) {
      sigaction(kSignals[i], &before[i], nullptr);
    }
  }
}

}  // namespace forklock
