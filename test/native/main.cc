// Stress of the mechanism in native/, without Node: `stress <program> [--seconds n] [--seed n] [--plain]`. run.mjs
// builds it with each sanitizer and runs the programs.
#include <cstring>

#include "../../native/futex.h"
#include "harness.h"

using namespace forklock::test;

namespace {

struct Program {
  const char* name;
  void (*run)(const Options&);
};

constexpr Program kPrograms[] = {
    {"futexes", futexes},   {"participants", participants}, {"many", many}, {"waiters", waiters},
    {"segments", segments}, {"headers", headers},           {"processes", processes},
};

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1 && strcmp(argv[1], "--participant") == 0) return participant_program(argc - 2, argv + 2);
  Options options;
  options.image = argv[0];
  for (int i = 2; i < argc; i++) {
    if (strcmp(argv[i], "--plain") == 0) options.plain = true;
    if (strcmp(argv[i], "--seconds") == 0 && i + 1 < argc) options.seconds = atof(argv[++i]);
    if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc) options.seed = strtoull(argv[++i], nullptr, 10);
  }
  forklock::force_plain_futex(options.plain);
  for (const Program& program : kPrograms) {
    if (argc < 2 || strcmp(argv[1], program.name) != 0) continue;
    program.run(options);
    return 0;
  }
  fprintf(stderr, "no such program\n");
  return 2;
}
