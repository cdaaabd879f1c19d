// A Node-API addon that does one thing: hold(i) locks robust mutex i for the calling thread, word(i) reads its word.
// Node's headers may not be here; these four functions are a stable ABI.
#include <pthread.h>

#include <cstdint>
#include <cstring>

using Env = struct Env_*;
using Value = struct Value_*;
using Info = struct Info_*;

extern "C" {
int napi_create_function(Env, const char*, size_t, Value (*)(Env, Info), void*, Value*);
int napi_set_named_property(Env, Value, const char*, Value);
int napi_get_cb_info(Env, Info, size_t*, Value*, Value*, void**);
int napi_get_value_int32(Env, Value, int32_t*);
int napi_create_uint32(Env, uint32_t, Value*);
}

namespace {

pthread_mutex_t mutexes[16];

pthread_mutex_t* chosen(Env env, Info info) {
  size_t n = 1;
  Value argument;
  int32_t index = 0;
  napi_get_cb_info(env, info, &n, &argument, nullptr, nullptr);
  napi_get_value_int32(env, argument, &index);
  return &mutexes[index & 15];
}

Value word_of(Env env, pthread_mutex_t* mutex) {
  uint32_t words[2];  // the kernel's is the first (glibc) or the second (musl, after the type)
  memcpy(words, mutex, sizeof words);
#if defined(__GLIBC__)
  const uint32_t word = words[0];
#else
  const uint32_t word = words[1];
#endif
  Value result;
  napi_create_uint32(env, word, &result);
  return result;
}

Value hold(Env env, Info info) {
  pthread_mutex_t* mutex = chosen(env, info);
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
  pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
  pthread_mutex_init(mutex, &attributes);
  pthread_mutex_lock(mutex);
  return word_of(env, mutex);
}

Value word(Env env, Info info) { return word_of(env, chosen(env, info)); }

void add(Env env, Value exports, const char* name, Value (*function)(Env, Info)) {
  Value value;
  napi_create_function(env, name, strlen(name), function, nullptr, &value);
  napi_set_named_property(env, exports, name, value);
}

}  // namespace

extern "C" __attribute__((visibility("default"))) int32_t node_api_module_get_api_version_v1() { return 8; }

extern "C" __attribute__((visibility("default"))) Value napi_register_module_v1(Env env, Value exports) {
  add(env, exports, "hold", hold);
  add(env, exports, "word", word);
  return exports;
}
