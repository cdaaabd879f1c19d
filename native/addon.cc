// The addon: for each instance of the package's JavaScript an object with the exports of native/exports/.
#include <dlfcn.h>
#include <napi.h>

#include "exports/js-thread.h"
#include "orphans.h"

namespace forklock {
namespace {

// Runs after the hooks at the end of the environment, when there is no more to it than its memory.
void on_collected(napi_env, void* data, void*) {
  Instance* instance = static_cast<Instance*>(data);
  if (!instance->ended) instance->thread->end(instance, true);
  delete instance;
}

napi_value create_instance(napi_env env, napi_callback_info info) {
  void* thread = nullptr;
  napi_value object = nullptr;
  caught([&] {
    if (napi_get_cb_info(env, info, nullptr, nullptr, nullptr, &thread) != napi_ok) return -EINVAL;
    if (napi_create_object(env, &object) != napi_ok) return -ENOMEM;
    Instance* instance = static_cast<JsThread*>(thread)->make_instance(env);
    Exports exports(object, instance);
    export_segments(&exports);
    export_participants(&exports);
    export_waiting(&exports);
    export_fork(&exports);
    export_processes(&exports);
    napi_add_finalizer(env, object, instance, on_collected, nullptr, nullptr);
    return 0;
  });
  return object;
}

napi_value end_all_sleeps(napi_env, napi_callback_info) {
  end_sleeps();
  return nullptr;
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
  listen_for_orphans();
  JsThread* thread = JsThread::load(env);
  add_function(env, object, "createInstance", create_instance, thread);
  add_function(env, object, "endSleeps", end_all_sleeps, nullptr);
  return object;
}

}  // namespace

NODE_API_MODULE(forklock, Init)

}  // namespace forklock
