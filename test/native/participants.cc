// participant.cc: threads and processes join, leave and die in every way. A slot has one owner at a time, its next one
// comes only after the end of the last, and everything that can be counted is counted.
#include "../../native/participant.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <cstring>

#include "../../native/process.h"
#include "../../native/waiter.h"
#include "harness.h"

#ifdef __SANITIZE_THREAD__
extern "C" void __tsan_release(void* address);
#endif

namespace forklock::test {
namespace {

constexpr int kThreads = 3;
constexpr double kForEver = 1e7;  // ms: longer than the deadline of a program

struct Board {
  std::atomic<uint64_t> holders[kSlots];  // pid and tid of who believes to have the slot
  std::atomic<int64_t> joins;
  std::atomic<int64_t> leaves;
  std::atomic<int32_t> stop;
};

uint64_t myself() { return static_cast<uint64_t>(getpid()) << 32 | static_cast<uint64_t>(syscall(SYS_gettid)); }

// Whether a thread is gone, or on its way out: the kernel marks its mutexes after PF_EXITING is set.
bool has_ended(uint64_t who) {
  char path[64], line[1024];
  snprintf(path, sizeof path, "/proc/%u/task/%u/stat", static_cast<unsigned>(who >> 32), static_cast<unsigned>(who));
  FILE* file = fopen(path, "re");
  if (file == nullptr) return true;
  const size_t n = fread(line, 1, sizeof line - 1, file);
  fclose(file);
  line[n] = 0;
  const char* at = strrchr(line, ')');
  char state = 0;
  unsigned flags = 0;
  if (at == nullptr || sscanf(at + 1, " %c %*d %*d %*d %*d %*d %u", &state, &flags) != 2) return true;
  constexpr unsigned kExiting = 0x4;
  return state == 'Z' || state == 'X' || (flags & kExiting) != 0;
}

bool row_is_empty(const Segment* segment, uint32_t slot) {
  for (uint32_t i = 0; i < segment->row_cells(); i++) {
    if (segment->row(slot)[i].load() != 0) return false;
  }
  return true;
}

struct Life {
  uint32_t slot;
  int32_t generation;
};

Life begin(Segment* segment, Board* board, Random* random) {
  const int joined = join(segment);
  CHECK(joined >= 0);
  board->joins++;
  const auto slot = static_cast<uint32_t>(joined);
  const Slot* s = segment->slot(slot);
  const uint64_t before = board->holders[slot].exchange(myself());
  if (before != 0) CHECK(has_ended(before));
  CHECK_EQUAL(s->tid, syscall(SYS_gettid));
  CHECK_EQUAL(s->pid, getpid());
  CHECK(slot < segment->high());
  CHECK(row_is_empty(segment, slot));
  segment->row(slot)[random->below(segment->row_cells())].fetch_or(kUsed);
  return {slot, generation_word(segment, slot)->load()};
}

void check_mine(const Segment* segment, const Board* board, const Life& life) {
  CHECK_EQUAL(board->holders[life.slot].load(), myself());
  CHECK_EQUAL(generation_word(segment, life.slot)->load(), life.generation);
  // While this is 0 the process watches its own thread, and may take the wake-up for others with it when it is killed.
  CHECK_EQUAL(segment->own[life.slot].load(), 1);
  const auto alive = static_cast<uint32_t>(alive_word(segment, life.slot)->load());
  CHECK_EQUAL(alive & FUTEX_TID_MASK, syscall(SYS_gettid));
  CHECK((alive & FUTEX_WAITERS) != 0);
  CHECK((alive & FUTEX_OWNER_DIED) == 0);
}

void end_properly(Segment* segment, Board* board, const Life& life) {
  check_mine(segment, board, life);
  CHECK_EQUAL(board->holders[life.slot].exchange(0), myself());
  leave(segment, life.slot);
  board->leaves++;
}

void* die(void* argument) {  // a thread that ends as a participant
  const auto* body = static_cast<std::function<void()>*>(argument);
  (*body)();
  return nullptr;
}

// The end of a thread publishes what it did to whoever takes its slot next. The kernel does that, unseen.
void tell_sanitizer_of_death([[maybe_unused]] const Segment* segment, [[maybe_unused]] const Life& life) {
#ifdef __SANITIZE_THREAD__
  __tsan_release(alive_word(segment, life.slot));
#endif
}

void in_dying_thread(std::function<void()> body) {
  pthread_t thread;
  CHECK_EQUAL(pthread_create(&thread, nullptr, die, &body), 0);
  CHECK_EQUAL(pthread_join(thread, nullptr), 0);
}

// Some lives on this thread and on others, until the board says stop or, in a process that shall die, a few were lived.
void live(Segment* segment, Board* board, Random random, int lives) {
  for (int i = 0; i != lives && board->stop.load() == 0; i++) {
    if (random.one_in(8)) {
      in_dying_thread([&] {
        const Life life = begin(segment, board, &random);
        check_mine(segment, board, life);
        tell_sanitizer_of_death(segment, life);
      });
      continue;
    }
    const Life first = begin(segment, board, &random);
    if (random.one_in(4)) {  // a thread may have several slots
      const Life second = begin(segment, board, &random);
      CHECK(second.slot != first.slot);
      end_properly(segment, board, second);
    }
    for (uint64_t spins = random.below(4); spins > 0; spins--) std::this_thread::yield();
    end_properly(segment, board, first);
  }
}

void check_totals(const Segment* segment, const Board* board) {
  int64_t generations = 0;
  for (uint32_t i = 0; i < segment->high(); i++) {
    CHECK(is_gone(alive_word(segment, i)->load()));
    generations += generation_word(segment, i)->load();
  }
  CHECK_EQUAL(generations, board->joins.load());
  CHECK_EQUAL(segment->header()->members.load(), board->joins.load() + board->leaves.load());
}

Segment* fresh_segment() {
  int error = 0;
  Segment* segment = create_anonymous(kSingle, 4096, &error);
  CHECK(segment != nullptr);
  return segment;
}

std::vector<std::string> words_of(const std::vector<long>& numbers) {
  std::vector<std::string> out;
  for (const long n : numbers) out.push_back(std::to_string(n));
  return out;
}

// A process with a mapping of its own, which opens the segment as another program does.
pid_t start_foreign(const Segment* segment, int board_fd, const Options& options, uint64_t seed) {
  std::vector<std::string> argv = {"stress", "--participant"};
  for (std::string& word : words_of({getpid(), segment->fd, static_cast<long>(segment->inode),
                                     static_cast<long>(seed), options.plain})) {
    argv.push_back(word);
  }
  std::vector<std::string> environment;
  for (char** e = environ; *e != nullptr; e++) environment.push_back(*e);
  return spawn_program(options.image, argv, environment, {0, 1, 2, board_fd});
}

// Exact counts, and for ThreadSanitizer all that happens to a slot.
void threads_of_one_process(const Options& options, double seconds) {
  Segment* segment = fresh_segment();
  Board* board = shared<Board>();
  reap(in_child([&] {
    const Clock clock(seconds);
    in_threads(2 * kThreads, [&](int t) {
      if (t > 0) return live(segment, board, Random(options.seed * 10 + static_cast<uint64_t>(t)), -1);
      while (clock.running()) pause_for(1);
      board->stop = 1;
    });
  }));
  check_totals(segment, board);
  munmap(board, sizeof(Board));
  drop_user(segment);
}

// Threads of forked and of started processes; some processes kill themselves at a point where all is counted.
void lives_and_deaths(const Options& options, double seconds) {
  Segment* segment = fresh_segment();
  const int board_fd = memfd_create("board", 0);
  CHECK(board_fd >= 0 && ftruncate(board_fd, sizeof(Board)) == 0);
  auto* board = static_cast<Board*>(
      mmap(nullptr, sizeof(Board), PROT_READ | PROT_WRITE, MAP_SHARED, board_fd, 0));
  uint64_t seed = options.seed * 1000;
  std::vector<pid_t> children;
  for (int i = 0; i < 2; i++) {
    const uint64_t own = ++seed;
    children.push_back(in_child([&] {
      in_threads(kThreads, [&](int t) { live(segment, board, Random(own * 10 + static_cast<uint64_t>(t)), -1); });
    }));
  }
  for (int i = 0; i < 2; i++) {
    const int pid = start_foreign(segment, board_fd, options, ++seed);
    CHECK(pid > 0);
    children.push_back(pid);
  }
  for (const Clock clock(seconds); clock.running();) {
    const uint64_t own = ++seed;
    reap(in_child([&] {
           Random random(own);
           live(segment, board, Random(own), static_cast<int>(random.below(5)));
           if (random.one_in(3)) return;
           check_mine(segment, board, begin(segment, board, &random));
           if (random.one_in(2)) _exit(0);
           kill(getpid(), SIGKILL);
         }),
         SIGKILL);
  }
  board->stop = 1;
  for (const pid_t child : children) reap(child);
  check_totals(segment, board);
  munmap(board, sizeof(Board));
  close(board_fd);
  drop_user(segment);
}

// Processes of several threads that are killed wherever they are. The counts are then only bounded.
void random_kills(const Options& options, double seconds) {
  Segment* segment = fresh_segment();
  Board* board = shared<Board>();
  Random random(options.seed + 5);
  uint64_t seed = options.seed * 2000;
  int kills = 0;
  for (const Clock clock(seconds); clock.running();) {
    pid_t children[2];
    for (pid_t& child : children) {
      const uint64_t own = ++seed;
      child = in_child([&] {
        in_threads(kThreads, [&](int t) { live(segment, board, Random(own * 10 + static_cast<uint64_t>(t)), -1); });
      });
    }
    pause_for(static_cast<double>(random.below(30)));
    for (const pid_t child : children) kill(child, SIGKILL);
    for (const pid_t child : children) reap(child, SIGKILL);
    kills += 2;
  }
  // A kill cuts each thread's last count short by one join and one leave at most.
  const int64_t counted = board->joins.load() + board->leaves.load();
  const int64_t members = segment->header()->members.load();
  CHECK(members >= counted - kills * kThreads * 2 && members <= counted + kills * kThreads * 2);
  for (uint32_t i = 0; i < segment->high(); i++) CHECK(is_gone(alive_word(segment, i)->load()));
  Random last(options.seed);
  const Life life = begin(segment, board, &last);
  end_properly(segment, board, life);
  drop_user(segment);
}

// All slots: the one after the last is refused, and one that is given back is the one that is had next.
void every_slot() {
  Segment* segment = fresh_segment();
  for (uint32_t i = 0; i < kSlots; i++) CHECK_EQUAL(join(segment), i);
  CHECK_EQUAL(join(segment), -EUSERS);
  leave(segment, 517);
  CHECK_EQUAL(join(segment), 517);
  CHECK_EQUAL(join(segment), -EUSERS);
  for (uint32_t i = 0; i < kSlots; i++) leave(segment, i);
  CHECK_EQUAL(segment->high(), kSlots);
  CHECK_EQUAL(segment->header()->members.load(), 2 * (kSlots + 1));
  drop_user(segment);
}

// A name has 20 bits of a slot's generation. A slot that has used them up is left alone as long as there is another one.
void every_name() {
  Segment* segment = fresh_segment();
  generation_word(segment, 0)->store(static_cast<int32_t>(kNames - kSlots) - 1);
  CHECK_EQUAL(join(segment), 0);
  CHECK_EQUAL(name_of(segment, 0), 1 | (kNames - kSlots) << 11);
  leave(segment, 0);
  CHECK_EQUAL(join(segment), 1);
  CHECK_EQUAL(join(segment), 2);
  leave(segment, 1);
  leave(segment, 2);
  for (uint32_t i = 0; i < kSlots; i++) generation_word(segment, i)->store(static_cast<int32_t>(kNames));
  CHECK_EQUAL(join(segment), 0);
  CHECK_EQUAL(segment->high(), kSlots);
  CHECK_EQUAL(name_of(segment, 0), 1);
  leave(segment, 0);
  CHECK_EQUAL(join(segment), 0);
  CHECK_EQUAL(name_of(segment, 0), 1 | 1 << 11);
  leave(segment, 0);
  drop_user(segment);
}

// A fork's child takes over what its parent has open, under a slot of its own.
void forked_participant() {
  Segment* segment = fresh_segment();
  const int parents = join(segment);
  segment->row(static_cast<uint32_t>(parents))[1].store(kUsed | 3);
  reap(in_child([&] {
    forget_own_slots(segment);
    const int slot = join_after_fork(segment, static_cast<uint32_t>(parents));
    CHECK(slot >= 0 && slot != parents);
    CHECK_EQUAL(segment->own[parents].load(), 0);
    CHECK_EQUAL(segment->own[slot].load(), 1);
    CHECK_EQUAL(segment->row(static_cast<uint32_t>(slot))[1].load(), kUsed);
    CHECK_EQUAL(segment->row(static_cast<uint32_t>(slot))[0].load(), 0);
    leave(segment, static_cast<uint32_t>(slot));
  }));
  CHECK(!is_gone(alive_word(segment, static_cast<uint32_t>(parents))->load()));
  leave(segment, static_cast<uint32_t>(parents));
  drop_user(segment);
}

// All who sleep on a participant, in several processes, get to know its death. There is no slice to fall back on.
void deaths_are_noticed(const Options& options, double seconds) {
  struct Stage {
    std::atomic<int32_t> slot;
    std::atomic<int32_t> members;
    std::atomic<int32_t> sleepers;
    Word never;
  };
  for (const Clock clock(seconds); clock.running();) {
    Segment* segment = fresh_segment();
    Stage* stage = shared<Stage>();
    stage->slot = -1;
    const pid_t victim = in_child([&] {
      stage->slot = join(segment);
      for (;;) pause();
    });
    while (stage->slot.load() < 0) pause_for(0.1);
    const auto slot = static_cast<uint32_t>(stage->slot.load());
    stage->members = segment->header()->members.load();
    std::vector<pid_t> children;
    for (int p = 0; p < 2; p++) {
      children.push_back(in_child([&] {
        in_threads(kThreads, [&](int) {
          stage->sleepers++;
          while (!is_gone(alive_word(segment, slot)->load())) {
            sleep_on({segment, &stage->never, 0, stage->members.load(), static_cast<int>(slot), -1},
                     options.plain ? 50 : kForEver);
          }
        });
      }));
    }
    while (stage->sleepers.load() < 2 * kThreads) pause_for(0.1);
    kill(victim, SIGKILL);
    reap(victim, SIGKILL);
    for (const pid_t child : children) reap(child);
    munmap(stage, sizeof *stage);
    drop_user(segment);
  }
}

}  // namespace

int participant_program(int argc, char** argv) {
  CHECK_EQUAL(argc, 5);
  prctl(PR_SET_PDEATHSIG, SIGKILL);  // when a check fails there, nobody is left to say stop
  if (getppid() != atoi(argv[0])) return 2;
  force_plain_futex(atoi(argv[4]) != 0);
  auto* board = static_cast<Board*>(mmap(nullptr, sizeof(Board), PROT_READ | PROT_WRITE, MAP_SHARED, 3, 0));
  int error = 0;
  Segment* segment = open_descriptor(atoi(argv[0]), atoi(argv[1]), strtoull(argv[2], nullptr, 10), &error);
  if (segment == nullptr) fail(__FILE__, __LINE__, "a process cannot open the segment", error, 0);
  const uint64_t seed = strtoull(argv[3], nullptr, 10);
  in_threads(kThreads, [&](int t) { live(segment, board, Random(seed * 10 + static_cast<uint64_t>(t)), -1); });
  drop_user(segment);
  return 0;
}

void participants(const Options& options) {
  const int descriptors = count_descriptors();
  const int mappings = count_mappings("forklock");
  forked_participant();
  threads_of_one_process(options, options.seconds / 4);
  if (!kThreadsOnly) {
    every_slot();
    every_name();
    lives_and_deaths(options, options.seconds / 4);
    random_kills(options, options.seconds / 4);
  }
  deaths_are_noticed(options, options.seconds / 4);
  CHECK_EQUAL(count_descriptors(), descriptors);
  CHECK_EQUAL(count_mappings("forklock"), mappings);
}

}  // namespace forklock::test
