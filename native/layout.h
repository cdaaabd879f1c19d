// The layout of a segment: memory that several processes map, so everything read from it is input.
//
//   byte 0        4096                 4096 + slots             + heap
//   +---------+--------------------+---------------------+------------------------------+
//   | Header  | Slot x 1023        | heap: 64-byte cells | rows: one row a slot,        |
//   | 1 page  | 128 bytes each     | (JS maps up to here)| one int32 a tracked cell     |
//   +---------+--------------------+---------------------+------------------------------+
//
// A row says, for one participant, which cells it uses (kUsed) and how many waits it has on each. Only its
// own thread writes a row, so a participant that dies leaves nothing to repair: rows of the dead are not read.
// src/memory/layout.ts mirrors the numbers that JavaScript needs; the addon hands them over and they are compared.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace forklock {

constexpr int32_t kMagic = 0x314b4c46;  // "FLK1"
constexpr int32_t kLayoutVersion = 3;
constexpr uint32_t kPage = 4096;  // of the layout; the system's may be larger
constexpr uint32_t kCell = 64;
constexpr uint32_t kSlots = 1023;  // a lock word has 11 bits for slot + 1; 2047 there means "reserved"
constexpr uint32_t kNames = 0xfffff;  // and 20 for a generation of the slot
constexpr uint32_t kDeaths = 4;

// What a segment holds. It decides how many cells a row tracks.
enum SegmentType : int32_t {
  kArena = 1,   // anonymous: many objects, every cell tracked
  kSingle = 2,  // one object (named, or large): the first kSingleCells cells tracked
  kData = 3,    // bytes only: a header, then data at kDataOffset; no slots, no rows
};
constexpr uint32_t kSingleCells = 4;

struct Header {
  int32_t magic;
  int32_t version;
  int32_t abi;  // libc and pointer size: a robust word of another libc has its entry elsewhere
  int32_t type;
  uint32_t heap_low;
  uint32_t heap_high;
  int32_t cookie[4];  // random; names the segment in handles
  int32_t reserved[6];
  alignas(64) std::atomic<int32_t> high;  // slots ever used: the only ones anybody looks at
  std::atomic<int32_t> members;           // +1 and woken at each registration, so that sleepers watch newcomers too
};

struct Death {
  int32_t generation;
  int32_t pid;
};

struct alignas(64) Slot {
  // The alive word, which one JS thread holds for life and the kernel marks when that ends, its list entry, and beside the
  // word the slot's generation: robust.h. That is +1 in the same instant in which the slot is taken, so the names of
  // earlier owners then name nobody, whatever becomes of the newcomer.
  unsigned char room[48];
  std::atomic<int32_t> registered;  // the generation that the rest is about: a newcomer may die before it has said anything
  int32_t pid;
  int32_t tid;
  int32_t start;  // start time of the process, in clock ticks since boot, low 32 bits: tells apart a reused pid
  Death former[kDeaths];  // who had this slot in its last generations, so that a dead owner can be named later
  int32_t pid_namespace;  // in which tid and the alive word are thread ids (inode of the namespace, low 32 bits)
  int32_t holder;         // the thread whose id the alive word has: this one, or a keeper of its process (keepers.h)
  int32_t spare[6];
};

constexpr int32_t kUsed = INT32_MIN;  // the bit of a row's entry that says "this participant has the object open"
constexpr int32_t kMaxWaits = INT32_MAX;  // the other bits: a thread has fewer waits (MOST_WAITS in src/wait/wait.ts)

static_assert(sizeof(Header) <= kPage, "the header is one page");
static_assert(offsetof(Header, high) == 64 && offsetof(Header, members) == 68, "src/memory/layout.ts knows these");
static_assert(sizeof(Slot) == 128 && offsetof(Slot, registered) == 48, "src/memory/layout.ts knows these");
static_assert(sizeof(std::atomic<int32_t>) == 4 && std::atomic<int32_t>::is_always_lock_free, "futex words");

constexpr uint64_t kDataOffset = 65536;  // of a kData segment: where it can be mapped, whatever the system's page size
constexpr uint64_t kSlotsOffset = kPage;
constexpr uint64_t kHeapOffset = kSlotsOffset + ((uint64_t{kSlots} * sizeof(Slot) + kPage - 1) & ~uint64_t{kPage - 1});
constexpr uint32_t kSlotsPerPage = kPage / sizeof(Slot);

}  // namespace forklock
