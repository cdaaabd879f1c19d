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

Napi::Value CreateInstance(const CallbackInfo& info) {
  Instance* instance = static_cast<JsThread*>(info.Data())->make_instance(info.Env());
  Napi::Object object = Napi::Object::New(info.Env());
  Exports exports(object, instance);
  export_segments(&exports);
  export_participants(&exports);
  export_waiting(&exports);
  export_fork(&exports);
  export_processes(&exports);
  napi_add_finalizer(info.Env(), object, instance, on_collected, nullptr, nullptr);
  return object;
}

Napi::Value EndSleeps(const CallbackInfo& info) {
  end_sleeps();
  return info.Env().Undefined();
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
  object.Set("createInstance", Napi::Function::New(env, CreateInstance, "createInstance", thread));
  object.Set("endSleeps", Napi::Function::New(env, EndSleeps, "endSleeps"));
  return object;
}

}  // namespace

NODE_API_MODULE(forklock, Init)

}  // namespace forklock
