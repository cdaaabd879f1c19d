#include "memory.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <linux/memfd.h>
#include <memory>
#include <mutex>
#include <optional>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>
#include <unordered_map>

#include "participant.h"
#include "process.h"

namespace forklock {
namespace {

// The one thing that all environments of a process share: a segment must have a single mapping for its alive
// words and a single descriptor, whichever worker opened it first. Never destroyed: threads may outlive main().
struct Table {
  std::mutex mutex;
  std::unordered_multimap<ino_t, Segment*> segments;  // by inode, which other file systems may have, too
};

Table& table() {
  static Table* const shared = new Table;
  return *shared;
}

uint64_t row_bytes(int32_t type, uint64_t heap) {
  const uint64_t cells = type == kArena ? heap / kCell : kSingleCells;
  return cells * sizeof(int32_t);
}

uint64_t row_offset(const Segment* segment, uint32_t slot) {
  return kHeapOffset + segment->heap + row_bytes(segment->type, segment->heap) * slot;
}

uint64_t file_size(int32_t type, uint64_t heap) {
  if (type == kData) return kDataOffset + heap;
  return kHeapOffset + heap + row_bytes(type, heap) * kSlots;
}

struct Descriptor {  // closes on every early return
  int fd;
  explicit Descriptor(int f) : fd(above_standard(f)) {}
  ~Descriptor() {
    if (fd >= 0) close(fd);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int release() {
    const int kept = fd;
    fd = -1;
    return kept;
  }
};

struct Mapping {  // likewise
  void* address = MAP_FAILED;
  size_t size = 0;
  Mapping(int fd, size_t bytes)
      : address(mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)), size(bytes) {}
  ~Mapping() {
    if (address != MAP_FAILED) munmap(address, size);
  }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  uint8_t* release() {
    void* const kept = address;
    address = MAP_FAILED;
    return static_cast<uint8_t*>(kept);
  }
};

Segment* fail(int* error, int code) {
  *error = -code;
  return nullptr;
}

// Only a directory that nobody else can write to keeps others from planting files under our names.
int open_private_directory(const char* path) {
  const int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) return -errno;
  struct stat st;
  if (fstat(fd, &st) != 0 || st.st_uid != geteuid() || (st.st_mode & 077) != 0) {
    close(fd);
    return -EPERM;
  }
  return fd;
}

// Takes over `fd`: an entry of the table for a file that is already there, or a new one with a mapping.
Segment* adopt(int raw, int32_t type, uint64_t heap, bool reserved, int* error) {
  Descriptor fd(raw);
  struct stat st;
  if (fstat(fd.fd, &st) != 0) return fail(error, errno);
  Table& t = table();
  std::lock_guard<std::mutex> guard(t.mutex);
  const auto [begin, end] = t.segments.equal_range(st.st_ino);
  for (auto at = begin; at != end; at++) {
    Segment* const known = at->second;
    if (known->device == st.st_dev) {
      known->users++;
      return known;
    }
  }
  const uint64_t size = static_cast<uint64_t>(st.st_size);
  auto segment = std::make_unique<Segment>();
  std::optional<Mapping> mapping;
  if (type != 0) {
    mapping.emplace(fd.fd, size);
    if (mapping->address == MAP_FAILED) return fail(error, errno);
  }
  t.segments.emplace(st.st_ino, segment.get());  // the last thing that may fail
  segment->fd = fd.release();
  segment->device = st.st_dev;
  segment->inode = st.st_ino;
  segment->size = size;
  segment->heap = heap;
  segment->type = type;
  segment->reserved = reserved;
  segment->base = mapping ? mapping->release() : nullptr;
  segment->users = 1;
  return segment.release();
}

int write_header(uint8_t* page, int32_t type, uint64_t heap) {
  Header* h = reinterpret_cast<Header*>(page);
  h->magic = kMagic;
  h->version = kLayoutVersion;
  h->abi = libc_abi();
  h->type = type;
  h->heap_low = static_cast<uint32_t>(heap);
  h->heap_high = static_cast<uint32_t>(heap >> 32);
  return getrandom(h->cookie, sizeof h->cookie, 0) == static_cast<ssize_t>(sizeof h->cookie) ? 0 : -errno;
}

int write_header_to(int fd, int32_t type, uint64_t heap) {
  void* page = mmap(nullptr, kPage, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (page == MAP_FAILED) return -errno;
  const int result = write_header(static_cast<uint8_t*>(page), type, heap);
  munmap(page, kPage);
  return result;
}

// fallocate(2), which no signal ends. Before Linux 6.8 a tmpfs gives back what it has, as soon as one comes: whoever gets one each
// millisecond, from a profiler, would never have a large file.
int allocate(int fd, int mode, uint64_t offset, uint64_t length) {
  sigset_t all, old;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &old);
  const int failed = fallocate(fd, mode, static_cast<off_t>(offset), static_cast<off_t>(length)) == 0 ? 0 : -errno;
  pthread_sigmask(SIG_SETMASK, &old, nullptr);
  return failed;
}

// Pages that are not there yet would be made by the first access, and a SIGBUS where the file system is full by then: the
// header, the first page of slots, the heap and the rows get theirs here, further slots as they are taken.
int reserve_file(int fd, uint64_t heap) {
  const uint64_t rest = heap + row_bytes(kSingle, heap) * kSlots;
  struct stat st;
  if (fstat(fd, &st) != 0) return -errno;
  if (static_cast<uint64_t>(st.st_blocks) * 512 >= 2 * kPage + rest) return 0;  // they have them all
  const int failed = allocate(fd, 0, 0, 2 * kPage);
  return failed != 0 ? failed : allocate(fd, 0, kHeapOffset, rest);
}

// The header is read from a copy, so that it cannot change between the check and its use.
Segment* adopt_checked(int raw, bool reserved, int* error) {
  Descriptor fd(raw);
  struct stat st;
  if (fstat(fd.fd, &st) != 0) return fail(error, errno);
  if (!S_ISREG(st.st_mode)) return fail(error, EBADMSG);
  int32_t words[16];
  if (pread(fd.fd, words, sizeof words, 0) != static_cast<ssize_t>(sizeof words)) return fail(error, EBADMSG);
  const int32_t type = words[offsetof(Header, type) / 4];
  const uint64_t heap = static_cast<uint32_t>(words[offsetof(Header, heap_low) / 4]) |
                        static_cast<uint64_t>(static_cast<uint32_t>(words[offsetof(Header, heap_high) / 4])) << 32;
  if (words[0] != kMagic || words[1] != kLayoutVersion || words[2] != libc_abi()) return fail(error, EBADMSG);
  if (type != kArena && type != kSingle && type != kData) return fail(error, EBADMSG);
  if (reserved && type != kSingle) return fail(error, EBADMSG);  // what has a name is one object
  // Whole pages, as they are made: else the rows behind the heap would lie askew.
  if (type != kData && (heap == 0 || heap % kPage != 0)) return fail(error, EBADMSG);
  if (heap > (uint64_t{1} << 46) || file_size(type, heap) != static_cast<uint64_t>(st.st_size)) {
    return fail(error, EBADMSG);
  }
  const int failed = reserved ? reserve_file(fd.fd, heap) : 0;  // somebody may have copied it without its pages
  if (failed != 0) return fail(error, -failed);
  return adopt(fd.release(), type, heap, reserved, error);
}

bool same_cookie(const Segment* segment, const int32_t cookie[4]) {
  return segment->type != 0 && memcmp(segment->header()->cookie, cookie, sizeof segment->header()->cookie) == 0;
}

}  // namespace

uint32_t Segment::high() const {
  const int32_t seen = header()->high.load();
  return seen < 0 ? 0 : seen > static_cast<int32_t>(kSlots) ? kSlots : static_cast<uint32_t>(seen);
}

Word* Segment::word(uint32_t index) const {
  if (!has_slots() || index >= (kHeapOffset + heap) / 4) return nullptr;
  return reinterpret_cast<Word*>(base) + index;
}

uint32_t Segment::row_cells() const { return static_cast<uint32_t>(row_bytes(type, heap) / sizeof(int32_t)); }

std::atomic<int32_t>* Segment::row(uint32_t slot) const {
  return reinterpret_cast<std::atomic<int32_t>*>(base + row_offset(this, slot));
}

Segment* create_anonymous(int32_t type, uint64_t heap, int* error) {
  Descriptor fd(memfd_create("forklock", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (fd.fd < 0) return fail(error, errno);
  if (ftruncate(fd.fd, static_cast<off_t>(file_size(type, heap))) != 0) return fail(error, errno);
  // Nobody can shrink it under a mapping, which would turn every access into a SIGBUS.
  if (fcntl(fd.fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) return fail(error, errno);
  const int failed = write_header_to(fd.fd, type, heap);
  if (failed != 0) return fail(error, -failed);
  return adopt(fd.release(), type, heap, false, error);
}

Segment* create_file(const char* directory, uint64_t heap, int* error) {
  Descriptor dir(open_private_directory(directory));
  if (dir.fd < 0) return fail(error, -dir.release());
  // No name until it is complete: a crash here leaves nothing behind, and nobody opens half a header.
  Descriptor fd(openat(dir.fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  if (fd.fd < 0) return fail(error, errno);
  if (ftruncate(fd.fd, static_cast<off_t>(file_size(kSingle, heap))) != 0) return fail(error, errno);
  int failed = reserve_file(fd.fd, heap);
  if (failed != 0) return fail(error, -failed);
  failed = write_header_to(fd.fd, kSingle, heap);
  if (failed != 0) return fail(error, -failed);
  return adopt(fd.release(), kSingle, heap, true, error);
}

int publish(Segment* segment, const char* directory, const char* name) {
  Descriptor dir(open_private_directory(directory));
  if (dir.fd < 0) return dir.release();
  char self[64];
  snprintf(self, sizeof self, "/proc/self/fd/%d", segment->fd);
  return linkat(AT_FDCWD, self, dir.fd, name, AT_SYMLINK_FOLLOW) == 0 ? 0 : -errno;
}

Segment* open_file(const char* directory, const char* name, int* error) {
  Descriptor dir(open_private_directory(directory));
  if (dir.fd < 0) return fail(error, -dir.release());
  Descriptor fd(openat(dir.fd, name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (fd.fd < 0) return fail(error, errno);
  struct stat st;
  if (fstat(fd.fd, &st) != 0) return fail(error, errno);
  if (st.st_uid != geteuid() || (st.st_mode & 077) != 0) return fail(error, EPERM);
  return adopt_checked(fd.release(), true, error);
}

Segment* open_descriptor(int pid, int number, uint64_t inode, int* error) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/fd/%d", pid, number);
  // Looked at before it is opened: opening a foreign pipe or device could block or have effects.
  struct stat st;
  const bool is_own = pid == getpid();  // given to this process, maybe by one that had not given up root yet
  if ((is_own ? fstat(number, &st) : stat(path, &st)) != 0) return fail(error, errno == EBADF ? ENOENT : errno);
  if (!S_ISREG(st.st_mode) || st.st_ino != inode) return fail(error, ESTALE);
  if (!is_own && st.st_uid != geteuid()) return fail(error, EPERM);
  Descriptor fd(is_own ? fcntl(number, F_DUPFD_CLOEXEC, 3) : open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC));
  if (fd.fd < 0) return fail(error, errno);
  // Only what create_anonymous has sealed: a file that somebody can shrink would be a SIGBUS later.
  const int seals = fcntl(fd.fd, F_GET_SEALS);
  if (seals < 0 || (seals & F_SEAL_SHRINK) == 0) return fail(error, ESTALE);
  return adopt_checked(fd.release(), false, error);
}

Segment* find_open(uint64_t inode, const int32_t cookie[4]) {
  Table& t = table();
  std::lock_guard<std::mutex> guard(t.mutex);
  const auto [begin, end] = t.segments.equal_range(inode);
  for (auto at = begin; at != end; at++) {
    Segment* const known = at->second;
    if (same_cookie(known, cookie)) {
      known->users++;
      return known;
    }
  }
  return nullptr;
}

Segment* create_bare(const char* directory, const char* name, uint64_t size, int* error) {
  Descriptor dir(open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (dir.fd < 0) return fail(error, errno);
  Descriptor fd(openat(dir.fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  if (fd.fd < 0) return fail(error, errno);
  if (ftruncate(fd.fd, static_cast<off_t>(size)) != 0) return fail(error, errno);
  const int failed = allocate(fd.fd, 0, 0, size);
  if (failed != 0) return fail(error, -failed);
  Segment* const segment = adopt(fd.release(), 0, size, true, error);
  if (segment == nullptr) return nullptr;
  char self[64];
  snprintf(self, sizeof self, "/proc/self/fd/%d", segment->fd);
  if (linkat(AT_FDCWD, self, dir.fd, name, AT_SYMLINK_FOLLOW) == 0) return segment;
  fail(error, errno);
  drop_user(segment);
  return nullptr;
}

Segment* open_bare(const char* directory, const char* name, int* error) {
  Descriptor dir(open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (dir.fd < 0) return fail(error, errno);
  Descriptor fd(openat(dir.fd, name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (fd.fd < 0) return fail(error, errno);
  struct stat st;
  if (fstat(fd.fd, &st) != 0) return fail(error, errno);
  if (!S_ISREG(st.st_mode) || st.st_size <= 0) return fail(error, EBADMSG);
  // Anybody can put a file there under a name that is free, and whoever may write to it may shrink it under a mapping.
  if (st.st_uid != geteuid() || (st.st_mode & 022) != 0) return fail(error, EPERM);
  // Other programs make theirs with holes: see reserve_file.
  const auto size = static_cast<uint64_t>(st.st_size);
  const int failed = st.st_blocks * 512 < st.st_size ? allocate(fd.fd, FALLOC_FL_KEEP_SIZE, 0, size) : 0;
  if (failed != 0) return fail(error, -failed);
  return adopt(fd.release(), 0, size, true, error);
}

int unlink_name(const char* directory, const char* name) {
  Descriptor dir(open(directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (dir.fd < 0) return -errno;
  return unlinkat(dir.fd, name, 0) == 0 ? 0 : -errno;
}

int map_over(const Segment* segment, void* address, uint64_t offset, uint64_t length) {
  const uint64_t page = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  const uint64_t pages = (length + page - 1) / page * page;
  const uint64_t file_pages = (segment->size + page - 1) / page * page;
  if (reinterpret_cast<uintptr_t>(address) % page != 0) return -EFAULT;
  if (length == 0 || offset % page != 0 || pages > file_pages || offset > file_pages - pages) return -ERANGE;
  void* mapped = mmap(address, pages, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, segment->fd,
                      static_cast<off_t>(offset));
  return mapped == MAP_FAILED ? -errno : 0;
}

int reserve_slot(const Segment* segment, uint32_t slot) {
  if (!segment->reserved || slot % kSlotsPerPage != 0) return 0;
  return allocate(segment->fd, 0, kSlotsOffset + slot * sizeof(Slot), kPage);
}

uint32_t next_of_row(const Segment* segment, uint32_t slot, uint32_t from, uint32_t* end) {
  const uint32_t cells = segment->row_cells();
  const auto row = static_cast<off_t>(row_offset(segment, slot));
  const auto cell_at = [row, cells](off_t offset) {
    return static_cast<uint32_t>(std::min<off_t>(cells, (offset - row) / static_cast<off_t>(sizeof(int32_t))));
  };
  *end = cells;
  if (from >= cells) return cells;
  const off_t data = lseek(segment->fd, row + static_cast<off_t>(from * sizeof(int32_t)), SEEK_DATA);
  if (data < 0) return errno == ENXIO ? cells : from;
  const off_t hole = lseek(segment->fd, data, SEEK_HOLE);
  if (hole >= 0) *end = cell_at(hole);
  return cell_at(data);
}

void clear_row(const Segment* segment, uint32_t slot) {
  uint32_t end;
  if (next_of_row(segment, slot, 0, &end) >= segment->row_cells()) return;
  const uint64_t bytes = row_bytes(segment->type, segment->heap);
  const uint64_t offset = row_offset(segment, slot);
  if (bytes % kPage == 0 && offset % kPage == 0 &&
      fallocate(segment->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(offset),
                static_cast<off_t>(bytes)) == 0) {
    return;
  }
  memset(segment->base + offset, 0, bytes);
}

void add_user(Segment* segment) {
  std::lock_guard<std::mutex> guard(table().mutex);
  segment->users++;
}

void drop_user(Segment* segment) {
  Table& t = table();
  std::lock_guard<std::mutex> guard(t.mutex);
  if (--segment->users > 0) return;
  const auto [begin, end] = t.segments.equal_range(segment->inode);
  const auto same = [segment](const auto& entry) { return entry.second == segment; };
  const auto at = std::find_if(begin, end, same);
  if (at != end) t.segments.erase(at);
  if (segment->base != nullptr) munmap(segment->base, segment->size);
  close(segment->fd);
  delete segment;
}

}  // namespace forklock
