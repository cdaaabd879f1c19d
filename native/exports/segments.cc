// Shared memory: made, opened, mapped.
#include "instance.h"

namespace forklock {
namespace {

struct Cookie {
  int32_t words[4];
  Cookie(const CallbackInfo& info, size_t first) {
    for (size_t i = 0; i < 4; i++) words[i] = number(info, first + i);
  }
};

Value CreateAnonymous(const CallbackInfo& info) {  // type, heap -> index
  int error = 0;
  Segment* s = create_anonymous(number(info, 0), static_cast<uint64_t>(real(info, 1)), &error);
  return give(info, self(info).keep(s, error));
}

Value CreateFile(const CallbackInfo& info) {  // directory, heap -> index of a file without a name yet
  int error = 0;
  Segment* s = create_file(text(info, 0).c_str(), static_cast<uint64_t>(real(info, 1)), &error);
  return give(info, self(info).keep(s, error));
}

Value Publish(const CallbackInfo& info) {  // index, directory, name
  Segment* s = self(info).at(number(info, 0));
  return give(info, s == nullptr ? -EBADF : publish(s, text(info, 1).c_str(), text(info, 2).c_str()));
}

Value OpenFile(const CallbackInfo& info) {  // directory, name -> index
  int error = 0;
  Segment* s = open_file(text(info, 0).c_str(), text(info, 1).c_str(), &error);
  return give(info, self(info).keep(s, error));
}

Value OpenDescriptor(const CallbackInfo& info) {  // pid, fd, inode, cookie x 4 -> index
  const uint64_t inode = static_cast<uint64_t>(real(info, 2));
  const Cookie cookie(info, 3);
  int error = -ESTALE;
  Segment* s = find_open(inode, cookie.words);
  if (s == nullptr) {
    s = open_descriptor(number(info, 0), number(info, 1), inode, &error);
    if (s != nullptr && !std::equal(cookie.words, cookie.words + 4, s->header()->cookie)) {
      drop_user(s);
      s = nullptr;
      error = -ESTALE;
    }
  }
  return give(info, self(info).keep(s, error));
}

Value CreateBare(const CallbackInfo& info) {  // directory, name, size -> index
  int error = 0;
  const uint64_t size = static_cast<uint64_t>(real(info, 2));
  const std::string directory = text(info, 0);
  const std::string name = text(info, 1);
  Segment* s = create_bare(directory.c_str(), name.c_str(), size, &error);
  const int32_t index = self(info).keep(s, error);
  if (index < 0 && s != nullptr) unlink_name(directory.c_str(), name.c_str());  // nobody has heard of it
  return give(info, index);
}

Value OpenBare(const CallbackInfo& info) {  // directory, name -> index
  int error = 0;
  Segment* s = open_bare(text(info, 0).c_str(), text(info, 1).c_str(), &error);
  return give(info, self(info).keep(s, error));
}

Value UnlinkName(const CallbackInfo& info) {  // directory, name
  return give(info, unlink_name(text(info, 0).c_str(), text(info, 1).c_str()));
}

Value Close(const CallbackInfo& info) {  // index
  Instance& e = self(info);
  const int32_t index = number(info, 0);
  if (e.at(index) == nullptr) return give(info, -EBADF);
  e.release(static_cast<size_t>(index));
  return give(info, 0);
}

Value Describe(const CallbackInfo& info) {  // index -> [fd, inode, type, heap, cookie x 4]
  Segment* s = self(info).at(number(info, 0));
  if (s == nullptr) return info.Env().Undefined();
  int32_t cookie[4] = {};
  if (s->type != 0) std::copy_n(s->header()->cookie, 4, cookie);
  return give(info, {static_cast<double>(s->fd), static_cast<double>(s->inode), static_cast<double>(s->type),
                     static_cast<double>(s->heap), static_cast<double>(cookie[0]), static_cast<double>(cookie[1]),
                     static_cast<double>(cookie[2]), static_cast<double>(cookie[3])});
}

// V8 unmaps a buffer when it collects it, and sees nothing of its size: a program that opens and closes names would run
// out of mappings (vm.max_map_count, 65530) before V8 has a reason to collect. As each counts as much as this, some 2000
// of them are one.
constexpr int64_t kMappingWeight = 32768;

void count_mapping(napi_env env, int64_t by) {
  int64_t now;
  napi_adjust_external_memory(env, by, &now);
}

Value MapOver(const CallbackInfo& info) {  // index, Uint8Array over the whole buffer, offset
  Segment* s = self(info).at(number(info, 0));
  if (s == nullptr) return give(info, -EBADF);
  Napi::Uint8Array view = info[1].As<Napi::Uint8Array>();
  const int result = map_over(s, view.Data(), static_cast<uint64_t>(real(info, 2)), view.ByteLength());
  const auto unmapped = [](napi_env env, void*, void*) { count_mapping(env, -kMappingWeight); };
  if (result == 0 &&
      napi_add_finalizer(info.Env(), view.ArrayBuffer(), nullptr, unmapped, nullptr, nullptr) == napi_ok) {
    count_mapping(info.Env(), kMappingWeight);
  }
  return give(info, result);
}

}  // namespace

void export_segments(Exports* exports) {
  exports->add("createAnonymous", CreateAnonymous);
  exports->add("createFile", CreateFile);
  exports->add("publish", Publish);
  exports->add("openFile", OpenFile);
  exports->add("openDescriptor", OpenDescriptor);
  exports->add("createBare", CreateBare);
  exports->add("openBare", OpenBare);
  exports->add("unlinkName", UnlinkName);
  exports->add("close", Close);
  exports->add("describe", Describe);
  exports->add("mapOver", MapOver);
}

}  // namespace forklock
