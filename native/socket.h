// Messages that carry descriptors from one process to another: a pair of sockets that keeps the bounds of messages.
#pragma once

#include <cstddef>
#include <cstdint>

namespace forklock {

constexpr size_t kMaxPassed = 253;  // SCM_MAX_FD of the kernel

int socket_pair(int32_t ends[2]);

// One message, with descriptors; -EAGAIN when there is no room for it now, -EPIPE when nobody has the other end.
int send_message(int socket, const void* data, size_t size, const int32_t* descriptors, size_t n);

// One message: its size; 0 when nobody has the other end any more, -EAGAIN when there is none now. What it carried is in
// `descriptors`, and -1 behind that. -EMFILE: this process has no room for what it carries, and the message is still
// there. -EMSGSIZE: it did not fit, and is gone with what it carried. With `n` 0 what it carries is dropped, and only then
// may several wait for the same message: one of them gets it.
int receive_message(int socket, void* data, size_t size, int32_t* descriptors, size_t n);

}  // namespace forklock
