#include "copies.h"

#include <dlfcn.h>
#include <link.h>

#include <string>
#include <vector>

#include "robust.h"

// What other copies find: a function, as the visibility of an object is that of its type.
extern "C" __attribute__((visibility("default"))) const void* forklock_robust_words_1() {
  static constexpr forklock::RobustWords own = {forklock::hold, forklock::let_go};
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

const RobustWords* of_first_copy() {
  for (const std::string& name : libraries()) {
    void* const library = dlopen(name.c_str(), RTLD_LAZY | RTLD_NOLOAD);
    if (library == nullptr) continue;
    void* const found = dlsym(library, "forklock_robust_words_1");
    dlclose(library);  // one of the times that it was opened
    if (found != nullptr) return static_cast<const RobustWords*>(reinterpret_cast<Find>(found)());
  }
  return static_cast<const RobustWords*>(forklock_robust_words_1());
}

}  // namespace

const RobustWords& robust_words() {
  static const RobustWords* const first = of_first_copy();
  return *first;
}

}  // namespace forklock
