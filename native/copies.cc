#include "copies.h"

#include <dlfcn.h>
#include <link.h>

#include <string>
#include <vector>

#include "fork/helpers.h"
#include "robust.h"

// What other copies find: a function, as the visibility of an object is that of its type.
extern "C" __attribute__((visibility("default"))) const void* forklock_first_copy_1() {
  static constexpr forklock::FirstCopy own = {forklock::hold, forklock::let_go, forklock::choose_park_signal};
  return &own;
}

namespace forklock {
namespace {

using Find = const void* (*)();

// In the order in which they were loaded. None is ever unloaded (addon.cc), so all copies find the same one first.
std::vector<std::string> libraries() {
  std::vector<std::string> names;
  const auto note = [](dl_phdr_info* info, size_t, void* into) {
    if (info->dlpi_name != nullptr && *info->dlpi_name != '\0') {
      static_cast<std::vector<std::string>*>(into)->emplace_back(info->dlpi_name);
    }
    return 0;
  };
  dl_iterate_phdr(note, &names);
  return names;
}

const FirstCopy* find_first_copy() {
  for (const std::string& name : libraries()) {
    void* const library = dlopen(name.c_str(), RTLD_LAZY | RTLD_NOLOAD);
    if (library == nullptr) continue;
    void* const found = dlsym(library, "forklock_first_copy_1");
    dlclose(library);  // one of the times that it was opened
    if (found != nullptr) return static_cast<const FirstCopy*>(reinterpret_cast<Find>(found)());
  }
  return static_cast<const FirstCopy*>(forklock_first_copy_1());
}

}  // namespace

const FirstCopy& first_copy() {
  static const FirstCopy* const first = find_first_copy();
  return *first;
}

}  // namespace forklock
