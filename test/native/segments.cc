// memory.cc: segments made, opened, mapped, published and dropped by many threads and processes at once. Afterwards no
// descriptor and no mapping is left, and every name had one maker.
#include "../../native/memory.h"

#include <cstring>

#include "../../native/participant.h"
#include "harness.h"

namespace forklock::test {
namespace {

constexpr int kThreads = 3;
constexpr int kProcesses = 3;
constexpr uint64_t kMapped = 256 * 1024;

// Address space of this thread's own, as V8 gives it to the addon.
uint8_t* reserve() {
  void* at = mmap(nullptr, kMapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(at != MAP_FAILED);
  return static_cast<uint8_t*>(at);
}

uint64_t to_pages(uint64_t bytes) { return (bytes + 4095) / 4096 * 4096; }

// What is written through one mapping is read through the other; a piece past the end is refused.
void map_and_compare(const Segment* segment, uint8_t* at, Random* random) {
  const uint64_t from = segment->type == kData ? kDataOffset : 0;
  const uint64_t bytes = std::min<uint64_t>(segment->has_slots() ? kHeapOffset + segment->heap : segment->heap, kMapped);
  CHECK_EQUAL(map_over(segment, at, from, bytes), 0);
  if (segment->has_slots()) {
    const uint64_t place = kHeapOffset + random->below(segment->heap);
    at[place] = static_cast<uint8_t>(random->next());
    CHECK_EQUAL(segment->base[place], at[place]);
    CHECK_EQUAL(memcmp(at, segment->base, kPage / 64), 0);
  } else {
    at[random->below(bytes)] = 1;
  }
  CHECK_EQUAL(map_over(segment, at + 1, from, bytes), -EFAULT);
  CHECK_EQUAL(map_over(segment, at, from + 1, bytes), -ERANGE);
  CHECK_EQUAL(map_over(segment, at, from, 0), -ERANGE);
  CHECK_EQUAL(map_over(segment, at, to_pages(segment->size), 4096), -ERANGE);
  CHECK_EQUAL(map_over(segment, at, ~uint64_t{4095}, 8192), -ERANGE);
  // Back to pages of no segment.
  CHECK(mmap(at, kMapped, PROT_READ | PROT_WRITE, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == at);
}

void check_open(const Segment* segment) {
  if (!segment->has_slots()) return;
  CHECK(segment->word(static_cast<uint32_t>((kHeapOffset + segment->heap) / 4 - 1)) != nullptr);
  CHECK(segment->word(static_cast<uint32_t>((kHeapOffset + segment->heap) / 4)) == nullptr);
  const auto* end = reinterpret_cast<const uint8_t*>(segment->row(kSlots - 1) + segment->row_cells());
  CHECK(end <= segment->base + segment->size);
}

Segment* make_anonymous(Random* random) {
  const int32_t type = static_cast<int32_t>(1 + random->below(3));
  const uint64_t heap = type == kData ? 1 + random->below(200000) : 4096 * (1 + random->below(20));
  int error = 0;
  Segment* segment = create_anonymous(type, heap, &error);
  CHECK(segment != nullptr);
  return segment;
}

// Anonymous: the same segment found again by inode and cookie, and by descriptor.
void anonymous(Random* random, uint8_t* at) {
  Segment* segment = make_anonymous(random);
  map_and_compare(segment, at, random);
  check_open(segment);
  const Segment* again = find_open(segment->inode, segment->header()->cookie);
  CHECK(again == segment);
  int32_t wrong[4];
  memcpy(wrong, segment->header()->cookie, sizeof wrong);
  wrong[random->below(4)] ^= 1;
  CHECK(find_open(segment->inode, wrong) == nullptr);
  int error = 0;
  CHECK(open_descriptor(getpid(), segment->fd, segment->inode, &error) == segment);
  CHECK(open_descriptor(getpid(), segment->fd, segment->inode + 1, &error) == nullptr);
  CHECK_EQUAL(error, -ESTALE);
  if (segment->has_slots()) {
    const int slot = join(segment);
    CHECK(slot >= 0);
    leave(segment, static_cast<uint32_t>(slot));
  }
  {
    const SegmentUse first(segment);
    SegmentUse second = first;
    const SegmentUse third = std::move(second);
    drop_user(segment);
    drop_user(segment);
    drop_user(segment);
    check_open(segment);
  }
}

struct Board {
  std::atomic<int64_t> published;
  std::atomic<int64_t> unlinked;
  std::atomic<int32_t> stop;
};

// Named: whoever comes first makes it, the others open what is there whole, and somebody takes the name away.
void named(const char* directory, Random* random, Board* board, uint8_t* at) {
  char name[16];
  snprintf(name, sizeof name, "n%u", static_cast<unsigned>(random->below(4)));
  int error = 0;
  Segment* segment = open_file(directory, name, &error);
  if (segment == nullptr) {
    CHECK_EQUAL(error, -ENOENT);
    segment = create_file(directory, 4096 * (1 + random->below(4)), &error);
    CHECK(segment != nullptr);
    const int failed = publish(segment, directory, name);
    CHECK(failed == 0 || failed == -EEXIST);
    if (failed == 0) board->published++;
  }
  CHECK_EQUAL(segment->header()->magic, kMagic);
  map_and_compare(segment, at, random);
  check_open(segment);
  const int slot = join(segment);
  CHECK(slot >= 0);
  leave(segment, static_cast<uint32_t>(slot));
  if (random->one_in(3)) {
    const int failed = unlink_name(directory, name);
    CHECK(failed == 0 || failed == -ENOENT);
    if (failed == 0) board->unlinked++;
  }
  drop_user(segment);
}

void bare(const char* directory, Random* random, uint8_t* at) {
  char name[16];
  snprintf(name, sizeof name, "b%u", static_cast<unsigned>(random->below(3)));
  int error = 0;
  Segment* segment = random->one_in(2) ? create_bare(directory, name, 1 + random->below(100000), &error)
                                       : open_bare(directory, name, &error);
  if (segment == nullptr) {
    CHECK(error == -EEXIST || error == -ENOENT);
  } else {
    map_and_compare(segment, at, random);
    drop_user(segment);
  }
  if (random->one_in(3)) unlink_name(directory, name);
}

int count_files(const char* directory, const Options& options) {
  (void)options;
  int n = 0;
  for (unsigned i = 0; i < 4; i++) {
    char path[128];
    snprintf(path, sizeof path, "%s/n%u", directory, i);
    n += access(path, F_OK) == 0;
  }
  return n;
}

void all_at_once(const Options& options) {
  const Directory directory;
  Board* board = shared<Board>();
  std::vector<pid_t> children;
  for (int p = 0; p < kProcesses; p++) {
    children.push_back(in_child([&] {
      const int descriptors = count_descriptors();
      in_threads(kThreads, [&](int t) {
        Random random(options.seed * 100 + static_cast<uint64_t>(p * kThreads + t));
        uint8_t* at = reserve();
        while (board->stop.load() == 0) {
          switch (random.below(3)) {
            case 0: anonymous(&random, at); break;
            case 1: named(directory.path(), &random, board, at); break;
            case 2: bare(directory.path(), &random, at); break;
          }
        }
        munmap(at, kMapped);
      });
      CHECK_EQUAL(count_descriptors(), descriptors);
      CHECK_EQUAL(count_mappings("memfd:forklock"), 0);
      CHECK_EQUAL(count_mappings("/dev/shm"), 0);
    }));
  }
  for (const Clock clock(options.seconds); clock.running();) pause_for(5);
  board->stop = 1;
  for (const pid_t child : children) reap(child);
  CHECK_EQUAL(board->published.load() - board->unlinked.load(), count_files(directory.path(), options));
  CHECK(board->published.load() > 0);
}

void refusals() {
  int error = 0;
  CHECK(open_file("/dev/shm", "x", &error) == nullptr);
  CHECK_EQUAL(error, -EPERM);
  CHECK(create_file("/nowhere", 4096, &error) == nullptr);
  CHECK_EQUAL(error, -ENOENT);
  CHECK(create_anonymous(kArena, uint64_t{1} << 60, &error) == nullptr);
  CHECK(error < 0);
  CHECK(create_anonymous(kData, uint64_t{1} << 62, &error) == nullptr);
  CHECK(error < 0);
  const Directory directory;
  // A full /dev/shm is an error when the segment is made.
  CHECK(create_file(directory.path(), uint64_t{1} << 44, &error) == nullptr);
  CHECK(error < 0);
  CHECK(create_bare(directory.path(), "x", uint64_t{1} << 44, &error) == nullptr);
  CHECK(error < 0);
}

}  // namespace

void segments(const Options& options) {
  const int descriptors = count_descriptors();
  refusals();
  all_at_once(options);
  CHECK_EQUAL(count_descriptors(), descriptors);
  CHECK_EQUAL(count_mappings("memfd:forklock"), 0);
}

}  // namespace forklock::test
