// Leaving all running JavaScript, in the child of a fork that shall not go on where its parent was.
#pragma once

namespace forklock {

// Whether this build of Node shows the three functions of V8 that it takes (v8::Isolate::TryGetCurrent,
// TerminateExecution, PerformMicrotaskCheckpoint). Node-API has no name for them.
bool can_unwind();

// Drops the microtasks that wait, and then the JavaScript stack: no catch and no finally block of it runs. The next
// JavaScript is what the event loop calls. As worker.terminate() does, only that the environment goes on.
void unwind();

}  // namespace forklock
