// Signals that are sent to many processes at once: by a terminal to all that run in it, by a service manager to all of a
// service, by kill(1) to a group. Each process of the program has its own answer to them. A fork server has none: it
// would be gone before its children have ended, whose end only it can tell.
#pragma once

namespace forklock {

// From now on this process ignores them. May be called again, for those that have got a handler since.
void ignore_group_signals();

// Takes that back: each does what it did before, or what it has been given since.
void heed_group_signals();

}  // namespace forklock
