// What standard output and standard error have yet to write. Writes to a pipe that is full are queued by libuv.
#pragma once

#include <uv.h>

namespace forklock {

// In the child of a fork: what the parent had queued is the parent's to write. The requests end as if it were written.
// Returns whether there was something.
bool drop_output(uv_loop_t* loop);

// Before _exit: writes what is queued, however long the reader takes. Returns whether there was something.
bool flush_output(uv_loop_t* loop);

}  // namespace forklock
