#include "inherited.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "output.h"

namespace forklock {
namespace {

// The parent's requests in libuv's pool: they never end in the child. One loop forks, that of the main thread.
unsigned int lost_requests = 0;
bool output_was_queued = false;
ino_t dead_inode = 0;  // of what is in the place of the parent's connections
uv_prepare_t watch_for_end;
bool watching = false;
std::function<void(unsigned int)> report_rest;  // empty: the loop is left to come to its end

// libuv's queues are rings of two pointers in all of its versions.
unsigned int length_of(const uv__queue& head) {
  unsigned int n = 0;
  for (const uv__queue* q = head.next; q != &head; q = q->next) n++;
  return n;
}

unsigned int requests_of(const uv_handle_t* handle) {
  if (handle->type == UV_UDP) {
    const auto* udp = reinterpret_cast<const uv_udp_t*>(handle);
    return length_of(udp->write_queue) + length_of(udp->write_completed_queue);
  }
  const auto* stream = reinterpret_cast<const uv_stream_t*>(handle);
  return length_of(stream->write_queue) + length_of(stream->write_completed_queue) +
         (stream->connect_req != nullptr) + (stream->shutdown_req != nullptr);
}

bool is_stream(const uv_handle_t* handle) {
  return handle->type == UV_TCP || handle->type == UV_NAMED_PIPE || handle->type == UV_TTY || handle->type == UV_UDP;
}

bool is_dead(const uv_handle_t* handle) {
  uv_os_fd_t fd;
  struct stat s;
  return is_stream(handle) && uv_fileno(handle, &fd) == 0 && fstat(fd, &s) == 0 && s.st_ino == dead_inode;
}

// What the parent's connections had under way, as far as nobody has destroyed them here.
unsigned int requests_of_dead(uv_loop_t* loop) {
  unsigned int n = 0;
  const auto add = [](uv_handle_t* handle, void* sum) {
    if (is_dead(handle)) *static_cast<unsigned int*>(sum) += requests_of(handle);
  };
  uv_walk(loop, add, &n);
  return n;
}

// The loop would block although only requests of the parent keep it: it has come to its natural end.
void look_for_end(uv_prepare_t* handle) {
  uv_loop_t* loop = handle->loop;
  if (loop->closing_handles != nullptr) return;
  unsigned int lost = lost_requests;
  if (loop->active_reqs.count > lost) lost += requests_of_dead(loop);
  if (loop->active_reqs.count > lost) return;
  if (report_rest) {
    const unsigned int handles = loop->active_handles - 1;  // without this one
    if (handles <= 1) report_rest(handles);
    return;
  }
  if (loop->active_handles > 0) return;
  // Not before: libuv counts the requests of a connection when somebody destroys it.
  loop->active_reqs.count -= lost;
  lost_requests = 0;
  uv_prepare_stop(handle);
}

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

void watch(uv_loop_t* loop) {
  if (!watching) {
    watching = true;
    uv_prepare_init(loop, &watch_for_end);
    uv_unref(reinterpret_cast<uv_handle_t*>(&watch_for_end));
  }
  uv_prepare_start(&watch_for_end, look_for_end);
}

}  // namespace

int leave_inherited(uv_loop_t* loop, const Keep& keep) {
  const int dead = dead_descriptor();
  struct stat s;
  if (dead < 0 || fstat(dead, &s) != 0) return dead < 0 ? dead : -errno;
  dead_inode = s.st_ino;
  // Watches of files are taken back one by one, and not from the parent's inotify instance. libuv opens another one.
  if (loop->inotify_fd != -1) dup3(dead, loop->inotify_fd, O_CLOEXEC);
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

  lost_requests = loop->active_reqs.count - walk.stream_requests;
  if (report_rest) uv_unref(reinterpret_cast<uv_handle_t*>(&watch_for_end));
  report_rest = nullptr;
  if (loop->active_reqs.count > 0) watch(loop);
  return 0;
}

bool left_output() { return output_was_queued; }

void watch_for_rest(uv_loop_t* loop, std::function<void(unsigned int handles)> at_rest) {
  report_rest = std::move(at_rest);
  watch(loop);
  uv_ref(reinterpret_cast<uv_handle_t*>(&watch_for_end));
}

}  // namespace forklock
