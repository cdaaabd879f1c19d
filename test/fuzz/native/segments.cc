// Hostile segment files and hostile words, for libFuzzer (or mutator.cc): native/ must refuse the first, and must neither crash,
// read outside of its mapping, nor hang on the second. An input is a header, a size, and a list of steps.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "../../../native/memory.h"
#include "../../../native/participant.h"
#include "../../../native/waiter.h"

using namespace forklock;

namespace {

class Input {
 public:
  Input(const uint8_t* data, size_t size) : at_(data), left_(size) {}
  bool over() const { return left_ == 0; }
  template <typename T>
  T take() {
    T value{};
    const size_t n = left_ < sizeof value ? left_ : sizeof value;
    if (n == 0) return value;  // at_ may be null
    memcpy(&value, at_, n);
    at_ += n;
    left_ -= n;
    return value;
  }

 private:
  const uint8_t* at_;
  size_t left_;
};

constexpr uint64_t kMost = 8u << 20;

const char* directory() {
  static char path[] = "/dev/shm/forklock-fuzz-XXXXXX";
  static const bool made = [] {
    atexit([] { rmdir(path); });
    return mkdtemp(path) != nullptr;
  }();
  if (!made) abort();
  return path;
}

uint64_t size_for(int32_t type, uint64_t heap) {
  if (type == kData) return kDataOffset + heap;
  return kHeapOffset + heap + (type == kArena ? heap / kCell : kSingleCells) * sizeof(int32_t) * kSlots;
}

// A header of which a part is right, so that not every input ends at the first comparison.
uint64_t write_file(int fd, Input* in) {
  int32_t words[16] = {kMagic, kLayoutVersion, libc_abi(), 1 + in->take<uint8_t>() % 4};
  const uint8_t shape = in->take<uint8_t>();
  uint64_t heap = in->take<uint32_t>() % (1u << 18);
  if ((shape & 1) != 0) heap = heap / kPage * kPage;
  if ((shape & 2) != 0) heap = in->take<uint64_t>();
  memcpy(&words[4], &heap, sizeof heap);
  uint64_t size = size_for(words[3], heap);
  if ((shape & 4) != 0) size = in->take<uint32_t>();
  if ((shape & 8) != 0) words[in->take<uint8_t>() % 16] = in->take<int32_t>();
  if (size > kMost) size %= kMost;
  if (ftruncate(fd, static_cast<off_t>(size)) != 0) abort();
  if (pwrite(fd, words, sizeof words < size ? sizeof words : size, 0) < 0) abort();
  return size;
}

// As somebody else would: through a mapping of his own, anywhere.
void scribble(const Segment* segment, Input* in) {
  const uint8_t place = in->take<uint8_t>();
  uint64_t at = in->take<uint32_t>();
  if (place < 100) at = kSlotsOffset + at % (4 * sizeof(Slot));
  if (place >= 100 && place < 130) at = at % 80;
  if (place >= 130 && place < 160) at = kHeapOffset + segment->heap + at % 4096;
  at = at % (segment->size - sizeof(int64_t));
  const int64_t value = in->take<int64_t>();
  memcpy(segment->base + at, &value, (place & 1) != 0 ? sizeof value : 4);
}

void use(Segment* segment, Input* in) {
  int slot = -1;
  for (int i = 0; i < 40 && !in->over(); i++) {
    const uint8_t step = in->take<uint8_t>() % 10;
    if (step < 4) {
      scribble(segment, in);
    } else if (step == 4) {
      if (slot < 0) slot = join(segment);
    } else if (step == 5) {
      if (slot >= 0) leave(segment, static_cast<uint32_t>(slot));
      slot = -1;
    } else if (step == 6) {
      Watch w{segment, segment->word(in->take<uint32_t>()), in->take<int32_t>(), in->take<int32_t>(),
              in->take<int16_t>(), in->take<int8_t>()};
      if (w.word == nullptr) continue;
      if ((in->take<uint8_t>() & 1) != 0) w.expected = w.word->load();
      sleep_on(w, 0.01);
    } else if (step == 7) {
      mark_if_gone(segment, in->take<uint16_t>());
    } else if (step == 8 && slot >= 0) {
      leave(segment, static_cast<uint32_t>(slot));
      slot = join_after_fork(segment, static_cast<uint32_t>(slot));
    } else if (slot >= 0) {
      segment->row(static_cast<uint32_t>(slot))[in->take<uint32_t>() % segment->row_cells()].fetch_add(1);
      for (uint32_t k = 0; k < segment->high(); k++) is_gone(alive_word(segment, k)->load());
    }
  }
  if (slot >= 0) leave(segment, static_cast<uint32_t>(slot));
}

void map(const Segment* segment, Input* in) {
  static void* const pages = mmap(nullptr, kMost, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  const uint64_t offset = in->take<uint32_t>();
  const uint64_t length = in->take<uint32_t>() % kMost;
  if (map_over(segment, pages, offset, length) != 0) return;
  volatile uint8_t last = static_cast<uint8_t*>(pages)[length - 1];  // SIGBUS if it is not there
  (void)last;
}

}  // namespace

// Of how many inputs the file was taken for a segment.
unsigned long opened = 0;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Input in(data, size);
  const int dir = open(directory(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const int fd = openat(dir, "f", O_CREAT | O_RDWR | O_CLOEXEC, 0600);
  write_file(fd, &in);
  int error = 0;
  Segment* segment = open_file(directory(), "f", &error);
  if (segment != nullptr) {
    opened++;
    if (segment->type != 0 && size_for(segment->type, segment->heap) != segment->size) abort();
    map(segment, &in);
    if (segment->has_slots()) use(segment, &in);
    drop_user(segment);
  }
  if ((segment = open_bare(directory(), "f", &error)) != nullptr) {
    map(segment, &in);
    drop_user(segment);
  }
  unlinkat(dir, "f", 0);
  close(fd);
  close(dir);
  return 0;
}
