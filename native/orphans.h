// Children that would stay zombies for ever, as nobody asks how they ended.
//
// Two kinds. Those of a worker thread that has ended: they are this process's, and nobody else's here. And those that this
// process has adopted: the children of a process that was killed go to the first process of the PID namespace, which in a
// container often is the program itself, and no init. Who has adopted, asks by the number of a process that it has been
// told before: never for just any child, as node:child_process waits for its own.
#pragma once

namespace forklock {

// Takes the pidfd of a child of this process, and reaps the child when it has ended.
void reap_later(int pidfd);

// In the first process of a PID namespace: from now on it hears of the processes that others make by forklock there, and
// reaps those that it has adopted. Elsewhere, and the second time, nothing.
void listen_for_orphans();

// Elsewhere: tells that process of a child that was just made here.
void announce_child(int pidfd);

// In a fresh node that this package has started: tells of itself, where its maker has ended, which may have been before it could.
void announce_orphan();

// In the child of a fork: all of this was the parent's.
void forget_orphans();

}  // namespace forklock
