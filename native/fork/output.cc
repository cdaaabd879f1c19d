#include "output.h"

#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>

namespace forklock {
namespace {

bool is_output(uv_handle_t* handle) {
  uv_os_fd_t fd;
  const bool is_stream = handle->type == UV_TCP || handle->type == UV_NAMED_PIPE || handle->type == UV_TTY;
  return is_stream && uv_fileno(handle, &fd) == 0 && (fd == STDOUT_FILENO || fd == STDERR_FILENO);
}

// Calls back with each buffer that is left to write, in order.
template <typename Visit>
void each_buffer(uv_stream_t* stream, Visit visit) {
  uv__queue* head = &stream->write_queue;
  for (uv__queue* q = head->next; q != head; q = q->next) {
    auto* request = reinterpret_cast<uv_write_t*>(reinterpret_cast<char*>(q) - offsetof(uv_write_t, queue));
    for (unsigned int i = request->write_index; i < request->nbufs; i++) visit(&request->bufs[i]);
  }
}

void write_all(int fd, const uv_buf_t& buffer) {
  size_t done = 0;
  while (done < buffer.len) {
    const ssize_t n = write(fd, buffer.base + done, buffer.len - done);
    if (n > 0) done += static_cast<size_t>(n);
    if (n >= 0 || errno == EINTR) continue;
    if (errno != EAGAIN) return;  // nobody reads any more
    pollfd writable = {fd, POLLOUT, 0};
    poll(&writable, 1, -1);
  }
}

}  // namespace

bool drop_output(uv_loop_t* loop) {
  bool some = false;
  const auto drop = [](uv_handle_t* handle, void* found) {
    if (!is_output(handle)) return;
    auto* stream = reinterpret_cast<uv_stream_t*>(handle);
    each_buffer(stream, [stream, found](uv_buf_t* buffer) {
      *static_cast<bool*>(found) = true;
      stream->write_queue_size -= buffer->len;
      buffer->len = 0;
    });
  };
  uv_walk(loop, drop, &some);
  return some;
}

bool flush_output(uv_loop_t* loop) {
  bool some = false;
  const auto flush = [](uv_handle_t* handle, void* found) {
    if (!is_output(handle)) return;
    uv_os_fd_t fd;
    uv_fileno(handle, &fd);
    each_buffer(reinterpret_cast<uv_stream_t*>(handle), [fd, found](uv_buf_t* buffer) {
      *static_cast<bool*>(found) = true;
      write_all(fd, *buffer);
    });
  };
  uv_walk(loop, flush, &some);
  return some;
}

}  // namespace forklock
