// The addon: an environment for each thread that loads it, and the exports of native/exports/.
#include <dlfcn.h>
#include <napi.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "exports/environment.h"
#include "orphans.h"
#include "process.h"

namespace forklock {
namespace {

// A worker that ends leaves its slots here, on its own thread: unlike its death, this needs no kernel walk.
void end_environment(void* data) {
  Environment* e = static_cast<Environment*>(data);
  for (size_t i = 0; i < e->opened.size(); i++) e->release(i);
  const bool is_worker = syscall(SYS_gettid) != getpid();
  for (const int fd : e->descriptors) {
    const int status = is_worker ? exit_status(fd, false) : -ECHILD;
    if (status >= 0 || status == -EAGAIN) {  // a child, which nobody else has
      reap_later(fd);
    } else {
      close(fd);
    }
  }
  delete e;
}

// Node closes the library with the last environment that loaded it; the table of segments must outlive that.
void pin_library() {
  Dl_info where;
  if (dladdr(reinterpret_cast<void*>(&pin_library), &where) != 0) {
    dlopen(where.dli_fname, RTLD_NOW | RTLD_NODELETE | RTLD_NOLOAD);
  }
}

Napi::Object Init(Napi::Env env, Napi::Object object) {
  pin_library();
  auto* e = new Environment(env);
  listen_for_orphans();
  napi_add_env_cleanup_hook(env, end_environment, e);
  Exports exports(object, e);
  export_segments(&exports);
  export_participants(&exports);
  export_waiting(&exports);
  export_fork(&exports);
  export_processes(&exports);
  return object;
}

}  // namespace

NODE_API_MODULE(forklock, Init)

}  // namespace forklock
