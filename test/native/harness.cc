#include "harness.h"

#include <dirent.h>

#include <cstring>

namespace forklock::test {
namespace {

int count_entries(const char* path) {
  DIR* directory = opendir(path);
  CHECK(directory != nullptr);
  int n = 0;
  while (readdir(directory) != nullptr) n++;
  closedir(directory);
  return n;
}

}  // namespace

int count_descriptors() { return count_entries("/proc/self/fd"); }
int count_threads() { return count_entries("/proc/self/task"); }

int count_mappings(const char* of) {
  FILE* file = fopen("/proc/self/maps", "re");
  CHECK(file != nullptr);
  char line[4096];
  int n = 0;
  while (fgets(line, sizeof line, file) != nullptr) n += strstr(line, of) != nullptr;
  fclose(file);
  return n;
}

Directory::Directory() : path_("/dev/shm/forklock-native-XXXXXX"), maker_(getpid()) {
  CHECK(mkdtemp(path_.data()) != nullptr);
}

Directory::~Directory() {
  if (getpid() != maker_) return;
  DIR* directory = opendir(path_.c_str());
  if (directory != nullptr) {
    while (const dirent* entry = readdir(directory)) unlinkat(dirfd(directory), entry->d_name, 0);
    closedir(directory);
  }
  rmdir(path_.c_str());
}

}  // namespace forklock::test
