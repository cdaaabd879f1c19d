// Who takes part in shared memory, and what of it each one uses.
#include "instance.h"

namespace forklock {
namespace {

Value Join(const CallbackInfo& info) {  // index -> slot
  Instance& e = self(info);
  const int32_t index = number(info, 0);
  Segment* s = e.at(index);
  if (s == nullptr || !s->has_slots()) return give(info, -EBADF);
  Opened& o = e.opened[static_cast<size_t>(index)];
  if (o.slot < 0) {
    const int slot = join(s);
    if (slot < 0) return give(info, slot);
    o.slot = slot;
  }
  return give(info, o.slot);
}

// The row entry of this participant for a cell, or null.
std::atomic<int32_t>* row_entry(const CallbackInfo& info) {
  Instance& e = self(info);
  const int32_t index = number(info, 0);
  const uint32_t cell = info[1].As<Napi::Number>().Uint32Value();
  Segment* s = e.at(index);
  if (s == nullptr || e.opened[static_cast<size_t>(index)].slot < 0 || cell >= s->row_cells()) return nullptr;
  return s->row(static_cast<uint32_t>(e.opened[static_cast<size_t>(index)].slot)) + cell;
}

Value Use(const CallbackInfo& info) {  // index, cell, on: this participant has the object open, or not any more
  std::atomic<int32_t>* entry = row_entry(info);
  if (entry == nullptr) return give(info, -EINVAL);
  if (info[2].As<Napi::Boolean>().Value()) {
    entry->fetch_or(kUsed);
  } else {
    entry->fetch_and(~kUsed);
  }
  return give(info, 0);
}

Value CountWait(const CallbackInfo& info) {  // index, cell, +1 or -1
  std::atomic<int32_t>* entry = row_entry(info);
  if (entry == nullptr) return give(info, -EINVAL);
  const int32_t now = entry->load();
  const int64_t waits = std::clamp<int64_t>(int64_t{now & kMaxWaits} + number(info, 2), 0, kMaxWaits);
  entry->store((now & kUsed) | static_cast<int32_t>(waits));  // only this thread writes its row
  return give(info, 0);
}

// index, cell, what -> sum over the living participants: waits (0), or uses (1)
Value Sum(const CallbackInfo& info) {
  Segment* s = self(info).at(number(info, 0));
  const uint32_t cell = info[1].As<Napi::Number>().Uint32Value();
  if (s == nullptr || !s->has_slots() || cell >= s->row_cells()) return give(info, -EINVAL);
  const bool uses = number(info, 2) == 1;
  double sum = 0;  // of up to 1023 entries, which are input
  for (uint32_t i = 0; i < s->high(); i++) {
    if (is_gone(alive_word(s, i)->load())) continue;
    const int32_t entry = s->row(i)[cell].load();
    sum += uses ? (entry & kUsed) != 0 : entry & kMaxWaits;
  }
  return give(info, sum);
}

Value Numbers(const CallbackInfo& info) {  // what src/memory/layout.ts compares its constants with
  return give(info, {static_cast<double>(libc_abi()),
                     static_cast<double>(alive_word_index()),
                     kLayoutVersion,
                     static_cast<double>(kSlotsOffset),
                     sizeof(Slot),
                     kSlots,
                     static_cast<double>(kHeapOffset),
                     kCell,
                     kSingleCells,
                     static_cast<double>(kDataOffset)});
}

}  // namespace

void export_participants(Exports* exports) {
  exports->add("join", Join);
  exports->add("use", Use);
  exports->add("countWait", CountWait);
  exports->add("sum", Sum);
  exports->add("numbers", Numbers);
}

}  // namespace forklock
