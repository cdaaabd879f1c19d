#include "watch.h"

#include <cerrno>
#include <memory>

namespace forklock {

void raise_uncaught(napi_env env) {
  bool pending = false;
  napi_value error;
  if (napi_is_exception_pending(env, &pending) != napi_ok || !pending ||
      napi_get_and_clear_last_exception(env, &error) != napi_ok) {
    return;
  }
  // What ends a thread, or the parent's code in the child of a fork, is no exception, and shows as null.
  napi_valuetype type;
  if (napi_typeof(env, error, &type) == napi_ok && type != napi_null) napi_fatal_exception(env, error);
}

Watches* Watches::make(napi_env env, Find callback, Keep keep) {
  Watches* watches = new Watches(env, std::move(callback), std::move(keep));
  if (napi_add_async_cleanup_hook(env, on_cleanup, watches, &watches->hook_) != napi_ok) {
    delete watches;
    return nullptr;
  }
  return watches;
}

int Watches::add(int fd, bool ref) {
  if (over_) return -ESHUTDOWN;
  if (open_.count(fd) != 0) return -EEXIST;
  uv_loop_t* loop = nullptr;
  if (napi_get_uv_event_loop(env_, &loop) != napi_ok) return -EINVAL;
  auto made = std::make_unique<Watch>(Watch{{}, this, fd, true});
  open_[fd] = made.get();  // the last thing that asks for memory: libuv cannot be told to forget a handle at once
  Watch* watch = made.get();
  int failed = uv_poll_init(loop, &watch->poll, fd);
  if (failed != 0) {  // libuv knows nothing of the handle then
    open_.erase(fd);
    return failed;
  }
  made.release();
  failed = uv_poll_start(&watch->poll, UV_READABLE, on_readable);
  if (failed != 0) {
    open_.erase(fd);
    close(watch);
    return failed;
  }
  count_kept(1);
  if (!ref) set_kept(watch, false);
  return 0;
}

int Watches::keep(int fd, bool ref) {
  const auto at = open_.find(fd);
  if (at == open_.end()) return -ENOENT;
  set_kept(at->second, ref);
  return 0;
}

void Watches::set_kept(Watch* watch, bool on) {
  if (watch->kept == on) return;
  watch->kept = on;
  uv_handle_t* handle = reinterpret_cast<uv_handle_t*>(&watch->poll);
  if (on) {
    uv_ref(handle);
  } else {
    uv_unref(handle);
  }
  count_kept(on ? 1 : -1);
}

void Watches::count_kept(int by) {
  const int before = kept_;
  kept_ += by;
  if ((before > 0) != (kept_ > 0) && !over_) keep_callback_(kept_ > 0);
}

int Watches::remove(int fd) {
  const auto at = open_.find(fd);
  if (at == open_.end()) return -ENOENT;
  Watch* watch = at->second;
  open_.erase(at);
  if (watch->kept) count_kept(-1);
  close(watch);
  return 0;
}

void Watches::close(Watch* watch) {
  closing_++;
  uv_close(reinterpret_cast<uv_handle_t*>(&watch->poll), on_closed);  // takes it out of the epoll set at once
}

void Watches::on_closed(uv_handle_t* handle) {
  Watch* watch = reinterpret_cast<Watch*>(handle);
  Watches* owner = watch->owner;
  delete watch;
  owner->closing_--;
  owner->finish_if_over();
}

void Watches::finish_if_over() {
  if (!over_ || closing_ > 0) return;
  napi_remove_async_cleanup_hook(hook_);
  delete this;
}

void Watches::on_cleanup(napi_async_cleanup_hook_handle, void* data) {
  static_cast<Watches*>(data)->end();
}

void Watches::end() {
  over_ = true;
  for (const auto& entry : open_) close(entry.second);
  open_.clear();
  finish_if_over();
}

void Watches::on_readable(uv_poll_t* poll, int, int) {  // an error is for the reader to see
  Watch* watch = reinterpret_cast<Watch*>(poll);
  watch->owner->call(watch->fd);
}

void Watches::call(int fd) {
  napi_handle_scope scope;
  if (napi_open_handle_scope(env_, &scope) != napi_ok) return;
  napi_value receiver, argument;
  napi_value callback = callback_();
  if (callback != nullptr) {
    napi_get_global(env_, &receiver);
    napi_create_int32(env_, fd, &argument);
    // As any other callback of Node: ticks and promises run after it.
    napi_make_callback(env_, nullptr, receiver, callback, 1, &argument, nullptr);
    raise_uncaught(env_);
  }
  napi_close_handle_scope(env_, scope);
}

}  // namespace forklock
