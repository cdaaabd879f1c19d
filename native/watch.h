// Descriptors that the event loop watches for JavaScript: pidfds, and the socket of a fork server.
#pragma once

#include <node_api.h>
#include <uv.h>

#include <functional>
#include <map>

namespace forklock {

// After a callback from the event loop: what it has thrown is an uncaught exception, as for any other callback of Node.
void raise_uncaught(napi_env env);

// Of one instance, on its JS thread. It ends by itself with the environment, as soon as libuv has let go of its
// handles: that takes turns of the loop, so an asynchronous cleanup hook keeps the environment until then.
class Watches {
 public:
  using Find = std::function<napi_value()>;
  using Keep = std::function<void(bool)>;

  // The callback gets the number of a descriptor that is readable, again and again until it is removed. `keep` says that
  // it has to be there from now on, or need not be any more. Null: no memory.
  static Watches* make(napi_env env, Find callback, Keep keep);

  // Nobody is called any more, and it deletes itself when libuv has let go of it.
  void end();

  // A watch that is kept (`ref`) keeps the loop alive. -EEXIST: it is watched already.
  int add(int fd, bool ref);
  int keep(int fd, bool ref);
  // From here on the descriptor may be closed.
  int remove(int fd);

 private:
  struct Watch {
    uv_poll_t poll;  // first: libuv hands over its address
    Watches* owner;
    int fd;
    bool kept;
  };

  Watches(napi_env env, Find callback, Keep keep)
      : env_(env), callback_(std::move(callback)), keep_callback_(std::move(keep)) {}
  void set_kept(Watch* watch, bool on);
  void count_kept(int by);
  void close(Watch* watch);
  void finish_if_over();
  void call(int fd);
  static void on_readable(uv_poll_t* poll, int status, int events);
  static void on_closed(uv_handle_t* handle);
  static void on_cleanup(napi_async_cleanup_hook_handle hook, void* data);

  napi_env env_;
  Find callback_;
  Keep keep_callback_;
  int kept_ = 0;
  napi_async_cleanup_hook_handle hook_ = nullptr;
  std::map<int, Watch*> open_;
  int closing_ = 0;
  bool over_ = false;
};

}  // namespace forklock
