// In the place of libFuzzer where there is none, and for a short run: inputs at random, of a seed, without coverage.
// `-seed=n -max_total_time=s -runs=n`, as libFuzzer has them: it ends with what is reached first.
#include <climits>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <random>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);
extern unsigned long opened;

int main(int count, char** arguments) {
  unsigned seed = 1;
  long seconds = 10;
  unsigned long most = ULONG_MAX;
  for (int i = 1; i < count; i++) {
    if (strncmp(arguments[i], "-seed=", 6) == 0) seed = static_cast<unsigned>(atol(arguments[i] + 6));
    if (strncmp(arguments[i], "-max_total_time=", 16) == 0) seconds = atol(arguments[i] + 16);
    if (strncmp(arguments[i], "-runs=", 6) == 0) most = strtoul(arguments[i] + 6, nullptr, 10);
  }
  std::mt19937 random(seed);
  const time_t end = time(nullptr) + seconds;
  unsigned long runs = 0;
  for (; runs < most && time(nullptr) < end; runs++) {
    std::vector<uint8_t> input(random() % 400);
    for (uint8_t& byte : input) byte = static_cast<uint8_t>(random() % 4 == 0 ? random() : random() % 12);
    LLVMFuzzerTestOneInput(input.data(), input.size());
  }
  printf("Done %lu runs; %lu files were taken for segments\n", runs, opened);
  return 0;
}
