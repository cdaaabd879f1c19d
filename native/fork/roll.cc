#include "roll.h"

#include <cstddef>
#include <cstdint>

#if defined(__x86_64__) && defined(__GLIBC__)

#include <dlfcn.h>

#include "sleeps.h"

namespace forklock {
namespace {

constexpr int kLongest = 100000;  // threads; a list that does not come to an end is not what it is taken for

struct Link {
  Link* next;
  Link* prev;
};

// What glibc has for libthread_db, the library of debuggers: { bits, elements, offset } of a field.
struct Field {
  uint32_t bits, elements, offset;
};

// Where the links are in a thread's record; 0: it is not told, or not as expected.
size_t find_links() {
  const auto field = [](const char* name) { return static_cast<const Field*>(dlsym(RTLD_DEFAULT, name)); };
  const Field* list = field("_thread_db_pthread_list");
  const Field* next = field("_thread_db_list_t_next");
  const Field* prev = field("_thread_db_list_t_prev");
  if (list == nullptr || next == nullptr || prev == nullptr) return 0;
  return next->offset == offsetof(Link, next) && prev->offset == offsetof(Link, prev) ? list->offset : 0;
}

size_t links() {
  static const size_t offset = find_links();
  return offset;
}

Link* link_of(unsigned long thread) { return reinterpret_cast<Link*>(thread + links()); }

}  // namespace

bool has_roll() { return links() != 0; }

void* roll_of(unsigned long thread) {
  if (!has_roll()) return nullptr;
  const Link* own = link_of(thread);
  Link* at = own->next;
  // The records of threads lie on their stacks; the head is a variable of libc's or of the dynamic linker's.
  for (int i = 0; i < kLongest && at != nullptr && at != own && at->prev->next == at; i++, at = at->next) {
    if (is_static(reinterpret_cast<unsigned long>(at))) return at;
  }
  return nullptr;
}

void enroll(unsigned long thread, void* head) {
  Link* own = link_of(thread);
  // fork() has moved it to the list of stacks that can be used again. One on a stack that the program gave is on none.
  if (own->next->prev == own && own->prev->next == own) {
    own->next->prev = own->prev;
    own->prev->next = own->next;
  }
  Link* first = static_cast<Link*>(head);
  own->next = first->next;
  own->prev = first;
  first->next->prev = own;
  first->next = own;
}

}  // namespace forklock

#endif
