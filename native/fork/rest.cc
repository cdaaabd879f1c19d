#include "rest.h"

#include <sys/stat.h>

namespace forklock {
namespace {

// The parent's requests in libuv's pool: they never end in the child. One loop forks, that of the main thread.
unsigned int lost_requests = 0;
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

void watch(uv_loop_t* loop) {
  if (!watching) {
    watching = true;
    uv_prepare_init(loop, &watch_for_end);
    uv_unref(reinterpret_cast<uv_handle_t*>(&watch_for_end));
  }
  uv_prepare_start(&watch_for_end, look_for_end);
}

}  // namespace

unsigned int requests_of(const uv_handle_t* handle) {
  if (handle->type == UV_UDP) {
    const auto* udp = reinterpret_cast<const uv_udp_t*>(handle);
    return length_of(udp->write_queue) + length_of(udp->write_completed_queue);
  }
  const auto* stream = reinterpret_cast<const uv_stream_t*>(handle);
  return length_of(stream->write_queue) + length_of(stream->write_completed_queue) +
         (stream->connect_req != nullptr) + (stream->shutdown_req != nullptr);
}

void lose_requests(uv_loop_t* loop, unsigned int lost, ino_t dead) {
  lost_requests = lost;
  dead_inode = dead;
  if (report_rest) uv_unref(reinterpret_cast<uv_handle_t*>(&watch_for_end));
  report_rest = nullptr;
  if (loop->active_reqs.count > 0) watch(loop);
}

void watch_for_rest(uv_loop_t* loop, std::function<void(unsigned int handles)> at_rest) {
  report_rest = std::move(at_rest);
  watch(loop);
  uv_ref(reinterpret_cast<uv_handle_t*>(&watch_for_end));
}

}  // namespace forklock
