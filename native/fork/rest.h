// The end of a forked child's event loop, which requests of the parent must not keep alive.
#pragma once

#include <sys/types.h>
#include <uv.h>

#include <functional>

namespace forklock {

// How many requests a connection has under way.
unsigned int requests_of(const uv_handle_t* handle);

// Of the loop's requests so many are the parent's, in libuv's pool: they never end here. Further ones are of connections
// whose descriptor is now that of the inode `dead`.
void lose_requests(uv_loop_t* loop, unsigned int lost, ino_t dead);

// For a child that has to see the end of its loop by itself. From here on the loop does not end of its own accord;
// `at_rest` is called whenever it is about to block with no request under way but the parent's, and at most one active
// handle, of which it gets the number: Node has one handle for all timers, so the parent's timers look like one.
void watch_for_rest(uv_loop_t* loop, std::function<void(unsigned int handles)> at_rest);

}  // namespace forklock
