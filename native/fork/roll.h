// glibc's list of threads.
//
// What has to reach all threads of a process, setuid(2) and its kin before all, glibc does by going through a list of its
// own and sending each thread on it a signal. A fork takes all threads but one off the list. A thread that is continued
// in the child must be on it again: else the child gives up root, and its helper threads keep it.
#pragma once

namespace forklock {

// Whether this libc tells where in its record of a thread the list goes through (as it tells debuggers, in all versions).
bool has_roll();

// The head of the list that a thread is on (its record is where its thread pointer points to); null: none was found. Other
// threads must not begin or end meanwhile.
void* roll_of(unsigned long thread);

// In the child: puts it on that list again.
void enroll(unsigned long thread, void* head);

}  // namespace forklock
