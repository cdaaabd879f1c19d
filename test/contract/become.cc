// A Node-API addon that does one thing: become(file, argument) is execve of the calling thread, which Node refuses to workers.
// Node's headers may not be here; these functions are a stable ABI.
#include <unistd.h>

#include <cstddef>
#include <cstdint>

using Env = struct Env_*;
using Value = struct Value_*;
using Info = struct Info_*;

extern "C" {
int napi_create_function(Env, const char*, size_t, Value (*)(Env, Info), void*, Value*);
int napi_set_named_property(Env, Value, const char*, Value);
int napi_get_cb_info(Env, Info, size_t*, Value*, Value*, void**);
int napi_get_value_string_utf8(Env, Value, char*, size_t, size_t*);
}

namespace {

Value become(Env env, Info info) {
  size_t n = 2;
  Value arguments[2];
  char file[256] = {};
  char argument[256] = {};
  napi_get_cb_info(env, info, &n, arguments, nullptr, nullptr);
  napi_get_value_string_utf8(env, arguments[0], file, sizeof file, nullptr);
  napi_get_value_string_utf8(env, arguments[1], argument, sizeof argument, nullptr);
  execl(file, file, argument, nullptr);
  return nullptr;
}

}  // namespace

extern "C" __attribute__((visibility("default"))) int32_t node_api_module_get_api_version_v1() { return 8; }

extern "C" __attribute__((visibility("default"))) Value napi_register_module_v1(Env env, Value exports) {
  Value function;
  napi_create_function(env, "become", 6, become, nullptr, &function);
  napi_set_named_property(env, exports, "become", function);
  return exports;
}
