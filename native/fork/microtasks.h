// Promise reactions that wait, in the child of a fork that shall not go on where its parent was.
#pragma once

namespace forklock {

// Whether this build of Node shows the functions of V8 that it takes (v8::Isolate::TerminateExecution and its
// neighbours; Node exports them to addons). Node-API has no name for them.
bool can_drop_microtasks();

// Empties the microtask queue. Within a microtask it does nothing: there the queue goes when the microtask is terminated.
void drop_microtasks();

}  // namespace forklock
