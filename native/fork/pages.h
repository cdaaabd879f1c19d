// Pages that the child of a fork needs, and that V8 keeps from it.
#pragma once

namespace forklock {

// V8 marks its heap MADV_DONTFORK (in Node since 18.20 and 20.4), because others fork only to exec and need no copy of
// its page tables: a child would find nothing where its objects were. Undoes that for all private anonymous memory, for
// good, so a later fork+exec of this process copies those page tables too. Returns 0 or -errno.
//
// Other marks stay: MADV_WIPEONFORK (keys of crypto libraries) is a flag of its own, and what is mapped from a device
// or shared is left alone, because DONTFORK on those is there for the device's sake (see madvise(2)).
int let_child_have_heap();

}  // namespace forklock
