// memory.cc and participant.cc on files that somebody else wrote: whatever their bytes and sizes, they are refused, or
// nothing outside of their mapping is touched.
#include <fcntl.h>
#include <sys/stat.h>

#include <cstring>

#include "../../native/memory.h"
#include "../../native/participant.h"
#include "harness.h"

namespace forklock::test {
namespace {

uint64_t rows_of(int32_t type, uint64_t heap) { return (type == kArena ? heap / kCell : kSingleCells) * sizeof(int32_t) * kSlots; }

// Numbers at which a check may be wrong by one, or overflow.
int32_t odd_number(Random* random) {
  static const int32_t kOdd[] = {0, 1, -1, 2, 3, 63, 64, 65, 4095, 4096, 4097, INT32_MAX, INT32_MIN, 1023, 1024, -4096};
  if (random->one_in(3)) return static_cast<int32_t>(random->next());
  return kOdd[random->below(sizeof kOdd / sizeof *kOdd)];
}

struct Outcomes {
  int64_t opened = 0;
  int64_t refused = 0;
};

// As the exports do it with what JavaScript asks for.
void use(Segment* segment, Random* random, uint8_t* page) {
  const uint8_t* end = segment->base + segment->size;
  CHECK(segment->size >= kPage);
  CHECK(segment->heap <= segment->size);
  for (int i = 0; i < 4; i++) {
    Word* word = segment->word(static_cast<uint32_t>(odd_number(random)));
    if (word == nullptr) continue;
    CHECK(reinterpret_cast<uint8_t*>(word + 1) <= end);
    word->load();
  }
  const int mapped = map_over(segment, page, static_cast<uint64_t>(random->below(64)) * 4096, 4096);
  CHECK(mapped == 0 || mapped == -ERANGE);
  if (mapped == 0) page[random->below(4096)]++;
  CHECK(mmap(page, 4096, PROT_READ | PROT_WRITE, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == page);
  if (!segment->has_slots()) return;
  CHECK(segment->high() <= kSlots);
  for (uint32_t i = 0; i < segment->high(); i++) {
    is_gone(alive_word(segment, i)->load());
    std::atomic<int32_t>* row = segment->row(i);
    CHECK(reinterpret_cast<uint8_t*>(row + segment->row_cells()) <= end);
    for (uint32_t cell = 0; cell < segment->row_cells(); cell += 1 + segment->row_cells() / 3) row[cell].load();
  }
  const int slot = join(segment);
  CHECK(slot >= 0 || slot == -EUSERS || slot == -ENOSPC);
  if (slot < 0) return;
  CHECK(static_cast<uint32_t>(slot) < kSlots);
  std::atomic<int32_t>* row = segment->row(static_cast<uint32_t>(slot));
  for (uint32_t cell = 0; cell < segment->row_cells(); cell++) CHECK_EQUAL(row[cell].load(), 0);
  leave(segment, static_cast<uint32_t>(slot));
}

void one_file(const char* directory, Random* random, uint8_t* page, Outcomes* outcomes) {
  char path[128];
  snprintf(path, sizeof path, "%s/x", directory);
  const int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  CHECK(fd >= 0);
  // A good header first; then a few words of it are changed, and the size.
  const auto type = static_cast<int32_t>(1 + random->below(3));
  uint64_t heap = random->one_in(2) ? 4096 * (1 + random->below(4)) : random->below(20000);
  if (random->one_in(32)) heap = random->next() >> random->below(64);
  int32_t words[16] = {kMagic, kLayoutVersion, libc_abi(), type, static_cast<int32_t>(heap),
                       static_cast<int32_t>(heap >> 32)};
  uint64_t size = type == kData ? kDataOffset + heap : kHeapOffset + heap + rows_of(type, heap);
  const bool good_header = random->one_in(2);
  if (!good_header) words[random->below(6)] = odd_number(random);
  if (random->one_in(4)) size += static_cast<uint64_t>(static_cast<int64_t>(odd_number(random)));
  if (random->one_in(8)) size = random->below(200000);
  CHECK(pwrite(fd, words, sizeof words, 0) == sizeof words);
  if (ftruncate(fd, static_cast<off_t>(size)) != 0) size = sizeof words;
  // What is behind the header: counters, slots, rows.
  for (uint64_t i = random->below(40); i > 0 && size > 128; i--) {
    const int32_t value = odd_number(random);
    uint64_t at = 64 + random->below(std::min<uint64_t>(size, kHeapOffset + 30000) - 64 - 4);
    if (random->one_in(3)) at = random->one_in(2) ? 64 : kSlotsOffset + random->below(4) * sizeof(Slot);
    if (at + 4 <= size) CHECK(pwrite(fd, &value, sizeof value, static_cast<off_t>(at)) == sizeof value);
  }
  int error = 0;
  struct stat st;
  CHECK(fstat(fd, &st) == 0);
  CHECK(open_descriptor(getpid(), fd, st.st_ino, &error) == nullptr);  // it is not sealed
  CHECK_EQUAL(error, -ESTALE);
  Segment* segment = open_file(directory, "x", &error);
  if (segment == nullptr) {
    CHECK(error == -EBADMSG || error == -ENOMEM || error == -EINVAL);  // the last one from valgrind's mmap
    outcomes->refused++;
  } else {
    outcomes->opened++;
    use(segment, random, page);
    drop_user(segment);
  }
  close(fd);
  unlink(path);
}

void other_kinds_of_files() {
  const Directory directory;
  int error = 0;
  char path[128];
  const auto in = [&](const char* name) {
    snprintf(path, sizeof path, "%s/%s", directory.path(), name);
    return path;
  };
  CHECK(mkfifo(in("fifo"), 0600) == 0);
  CHECK(symlink("/etc/passwd", in("link")) == 0);
  CHECK(open_file(directory.path(), "fifo", &error) == nullptr);
  CHECK_EQUAL(error, -EBADMSG);
  CHECK(open_file(directory.path(), "link", &error) == nullptr);
  CHECK_EQUAL(error, -ELOOP);
  CHECK(open_file(directory.path(), ".", &error) == nullptr);
  CHECK(open_bare(directory.path(), "fifo", &error) == nullptr);
  CHECK_EQUAL(error, -EBADMSG);
  CHECK(open_bare(directory.path(), "link", &error) == nullptr);
  CHECK_EQUAL(error, -ELOOP);
  int ends[2];
  CHECK(pipe2(ends, O_CLOEXEC) == 0);
  struct stat st;
  CHECK(fstat(ends[0], &st) == 0);
  CHECK(open_descriptor(getpid(), ends[0], st.st_ino, &error) == nullptr);
  CHECK_EQUAL(error, -ESTALE);
  close(ends[0]);
  close(ends[1]);
  const int open_to_all = open(in("shared"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  CHECK(open_to_all >= 0 && fchmod(open_to_all, 0644) == 0);
  CHECK(open_file(directory.path(), "shared", &error) == nullptr);
  CHECK_EQUAL(error, -EPERM);
  close(open_to_all);
  CHECK(open_bare(directory.path(), "shared", &error) == nullptr);  // empty
  CHECK_EQUAL(error, -EBADMSG);
}

}  // namespace

void headers(const Options& options) {
  const int descriptors = count_descriptors();
  other_kinds_of_files();
  {
    const Directory directory;
    Random random(options.seed);
    Outcomes outcomes;
    void* page = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(page != MAP_FAILED);
    for (const Clock clock(options.seconds); clock.running();) {
      one_file(directory.path(), &random, static_cast<uint8_t*>(page), &outcomes);
    }
    munmap(page, 4096);
    CHECK(outcomes.opened > 10);
    CHECK(outcomes.refused > 10);
  }
  CHECK_EQUAL(count_descriptors(), descriptors);
  CHECK_EQUAL(count_mappings("/dev/shm/forklock"), 0);
}

}  // namespace forklock::test
