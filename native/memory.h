// Segments: memfd or file, mapped once a process for the addon itself, and over SharedArrayBuffers for JavaScript.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <utility>

#include "futex.h"
#include "layout.h"

namespace forklock {

struct Segment {
  std::atomic<uint8_t> own[kSlots] = {};  // 1: a thread of this process has the slot
  int fd;
  dev_t device;
  ino_t inode;
  uint64_t size;   // of the file
  uint64_t heap;   // bytes of the heap (or of the data)
  int32_t type;    // SegmentType, or 0: bare bytes without a header
  bool reserved;   // a file whose pages must be reserved before they are touched (tmpfs can be full)
  uint8_t* base;   // this process's own mapping: it outlives V8's, which goes when a buffer is collected
  int users;       // environments that use it; guarded by the table's mutex

  Header* header() const { return reinterpret_cast<Header*>(base); }
  Slot* slot(uint32_t i) const { return reinterpret_cast<Slot*>(base + kSlotsOffset) + i; }
  bool has_slots() const { return type == kArena || type == kSingle; }
  uint32_t high() const;            // slots to look at, never more than there are
  Word* word(uint32_t index) const; // null when outside of what JavaScript maps
  uint32_t row_cells() const;       // how many cells a row tracks
  std::atomic<int32_t>* row(uint32_t slot) const;
};

// All of these return a segment with one more user, or null with *error = -errno.
// -EBADMSG: a file that is not a segment, or one of another size, version or libc.
Segment* create_anonymous(int32_t type, uint64_t heap, int* error);
Segment* create_file(const char* directory, uint64_t heap, int* error);
Segment* open_file(const char* directory, const char* name, int* error);
Segment* open_descriptor(int pid, int fd, uint64_t inode, int* error);
Segment* find_open(uint64_t inode, const int32_t cookie[4]);

// Bytes without a header, as POSIX shm_open and Python's multiprocessing.shared_memory make them.
Segment* create_bare(const char* directory, const char* name, uint64_t size, int* error);
Segment* open_bare(const char* directory, const char* name, int* error);

// Gives a file made by create_file its name, all at once; -EEXIST when somebody else was first.
int publish(Segment* segment, const char* directory, const char* name);
int unlink_name(const char* directory, const char* name);

// Replaces the pages at `address` (page-aligned, owned by V8) by those of the segment.
int map_over(const Segment* segment, void* address, uint64_t offset, uint64_t length);

// Makes sure that the page of a slot exists; -ENOSPC when the file system is full.
int reserve_slot(const Segment* segment, uint32_t slot);

// The next cells of a row, from `from` on and up to `*end`, that have pages; row_cells() if there are none. Without pages
// they are 0, and a look at them would make some.
uint32_t next_of_row(const Segment* segment, uint32_t slot, uint32_t from, uint32_t* end);

// Empties a row. Its pages go back to the kernel where they can.
void clear_row(const Segment* segment, uint32_t slot);

void add_user(Segment* segment);
void drop_user(Segment* segment);  // the last one unmaps and closes: nobody may be registered in it any more

class SegmentUse {  // one user, for as long as the object lives
 public:
  explicit SegmentUse(Segment* segment) : segment_(segment) { add_user(segment_); }
  SegmentUse(const SegmentUse& other) : SegmentUse(other.segment_) {}
  SegmentUse(SegmentUse&& other) noexcept : segment_(other.segment_) { other.segment_ = nullptr; }
  SegmentUse& operator=(SegmentUse other) noexcept {
    std::swap(segment_, other.segment_);
    return *this;
  }
  ~SegmentUse() {
    if (segment_ != nullptr) drop_user(segment_);
  }

 private:
  Segment* segment_;
};

}  // namespace forklock
