// What a process inherits from who makes it, and its memory and its descriptors do not show: whose it is, and what it may.
#pragma once

#include <cstdint>
#include <vector>

namespace forklock {

// Of the calling thread, as numbers to compare with those of another moment: users, groups, capabilities, limits,
// priority and processors, session and process group.
std::vector<uint64_t> standing();

// Whether the kernel would hide from a program that is started now, in /proc, what its own threads do: as it does where the
// program acts for another user than it was started by, or has rights by its file (execve(2), PR_SET_DUMPABLE).
bool starts_hidden();

}  // namespace forklock
