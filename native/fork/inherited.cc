#include "inherited.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "output.h"
#include "rest.h"

namespace forklock {
namespace {

bool output_was_queued = false;
bool requests_were_left = false;

bool listens(int fd) {
  int on = 0;
  socklen_t size = sizeof on;
  return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &on, &size) == 0 && on != 0;
}

struct Walk {
  const Keep* keep;
  int dead;  // the descriptor on which nothing ever happens
  unsigned int stream_requests = 0;
  std::vector<uv_async_t*> sent;

  bool is_kept(int fd) const {
    return std::find(keep->descriptors.begin(), keep->descriptors.end(), fd) != keep->descriptors.end() ||
           (keep->listening && listens(fd));
  }

  void leave_socket(uv_handle_t* handle) {
    uv_os_fd_t fd;
    const bool open = uv_fileno(handle, &fd) == 0;
    const bool is_output = open && (fd == STDOUT_FILENO || fd == STDERR_FILENO);
    stream_requests += requests_of(handle);
    if (is_output || (open && is_kept(fd))) return;
    if (handle->type == UV_UDP) {
      uv_udp_recv_stop(reinterpret_cast<uv_udp_t*>(handle));
    } else {
      uv_read_stop(reinterpret_cast<uv_stream_t*>(handle));
    }
    forget_events(handle->type == UV_UDP ? &reinterpret_cast<uv_udp_t*>(handle)->io_watcher
                                         : &reinterpret_cast<uv_stream_t*>(handle)->io_watcher);
    uv_unref(handle);
    // Descriptor 0 stays what it is, for whoever reads it by number.
    if (open && fd > STDERR_FILENO && handle->type != UV_TTY) dup3(dead, fd, O_CLOEXEC);
  }

  // What the poll that called the forking code has brought for this handle comes after that code, and is for the parent;
  // so is what libuv itself has noted for the next turn. Without interest in events there are none.
  static void forget_events(uv__io_t* watcher) {
    watcher->pevents = 0;
    watcher->pending_queue.prev->next = watcher->pending_queue.next;
    watcher->pending_queue.next->prev = watcher->pending_queue.prev;
    watcher->pending_queue.next = watcher->pending_queue.prev = &watcher->pending_queue;
  }

  void visit(uv_handle_t* handle) {
    if (uv_is_closing(handle)) return;  // nothing of it is left but its callback
    switch (handle->type) {
      case UV_TCP:
      case UV_NAMED_PIPE:
      case UV_TTY:
      case UV_UDP:
        leave_socket(handle);
        break;
      case UV_POLL:
        uv_poll_stop(reinterpret_cast<uv_poll_t*>(handle));
        uv_unref(handle);
        break;
      case UV_FS_EVENT:
        uv_fs_event_stop(reinterpret_cast<uv_fs_event_t*>(handle));
        uv_unref(handle);
        break;
      case UV_FS_POLL:
        uv_fs_poll_stop(reinterpret_cast<uv_fs_poll_t*>(handle));
        uv_unref(handle);
        break;
      case UV_PROCESS:
        uv_unref(handle);  // the parent's children are not the child's
        break;
      case UV_ASYNC:
        // Those of libuv's own and Node's own are not counted anyway; others report from threads that are not here.
        uv_unref(handle);
        if (reinterpret_cast<uv_async_t*>(handle)->pending != 0) sent.push_back(reinterpret_cast<uv_async_t*>(handle));
        break;
      default:
        break;
    }
  }
};

// The read end of a pipe that is never written to and never closed: neither readable nor writable, ever (poll(2)).
int dead_descriptor() {
  int ends[2];
  return pipe2(ends, O_CLOEXEC) == 0 ? ends[0] : -errno;
}

}  // namespace

int leave_inherited(uv_loop_t* loop, const Keep& keep) {
  const int dead = dead_descriptor();
  struct stat s;
  if (dead < 0 || fstat(dead, &s) != 0) return dead < 0 ? dead : -errno;
  // Watches of files are taken back one by one, and not from the parent's inotify instance. libuv opens another one.
  if (loop->inotify_fd != -1) dup3(dead, loop->inotify_fd, O_CLOEXEC);
  requests_were_left = loop->active_reqs.count > 0;
  Walk walk{&keep, dead, 0, {}};
  uv_walk(loop, [](uv_handle_t* handle, void* arg) { static_cast<Walk*>(arg)->visit(handle); }, &walk);
  close(dead);
  output_was_queued = drop_output(loop);
  // Calls that had ended, but whose callbacks had not run: those run in the parent.
  loop->wq.next = &loop->wq;
  loop->wq.prev = &loop->wq;
  const int failed = uv_loop_fork(loop);
  if (failed != 0) return failed;
  // uv_loop_fork forgets what other threads had sent. Among it may be V8's tasks for this thread.
  for (uv_async_t* async : walk.sent) uv_async_send(async);

  lose_requests(loop, loop->active_reqs.count - walk.stream_requests, s.st_ino);
  return 0;
}

bool left_requests() { return requests_were_left; }

bool left_output() { return output_was_queued; }

}  // namespace forklock
