// Leaving the JavaScript that runs, in the child of a fork that shall not go on where its parent was.
#pragma once

namespace forklock {

// Whether this build of Node shows the functions of V8 that it takes (v8::Isolate::TerminateExecution and its
// neighbours; Node exports them to addons). Node-API has no name for them.
bool can_leave_calls();

// Empties the microtask queue. Within a microtask it does nothing: there the queue goes when the microtask is terminated.
void drop_microtasks();

// No catch and no finally block of what is running will run: V8 ends it where it looks whether it should go on, which is
// at the next turn of a loop or call of a function. The next JavaScript is what the event loop calls.
void leave_calls();

}  // namespace forklock
