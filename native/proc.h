#pragma once

#include <cstddef>

namespace forklock {

// The beginning of a file of proc(5), as a string: as much of it as there is room for. It allocates nothing, so it may be
// called while other threads are stopped. False, and an errno, if it cannot be read, or is empty.
bool read_proc(const char* path, char* out, size_t room);

}  // namespace forklock
