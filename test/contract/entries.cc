// The list entries that forklock keeps itself, among those of the libc.
#include <fcntl.h>
#include <sched.h>

#include <initializer_list>
#include <thread>

#include "robust.h"

using namespace contract;

namespace {

// A word with the place of its entry, wherever this libc has it: within 64 bytes behind the word.
struct Place {
  alignas(8) char room[80];
};

robust_list_head* own_list() {
  pthread_mutex_t mutex;  // musl registers the list with the first robust mutex
  make_robust(&mutex);
  pthread_mutex_lock(&mutex);
  pthread_mutex_unlock(&mutex);
  robust_list_head* head = nullptr;
  size_t size = 0;
  EXPECT_EQ(syscall(SYS_get_robust_list, 0, &head, &size), 0);
  EXPECT_EQ(size, sizeof *head);
  return head;
}

// The word is where its entry is aligned.
Word* word_in(Place* place, const robust_list_head* list) {
  const auto offset = static_cast<size_t>(-list->futex_offset);
  return reinterpret_cast<Word*>(place->room + (8 - offset % 8) % 8);
}

robust_list* entry_in(Place* place, const robust_list_head* list) {
  return reinterpret_cast<robust_list*>(reinterpret_cast<char*>(word_in(place, list)) - list->futex_offset);
}

// What a libc takes for the entry before this one lies in front of the pointer to the next.
void*& before(robust_list* entry) { return reinterpret_cast<void**>(entry)[-1]; }

void link_first(Place* place, robust_list_head* list) {
  robust_list* const entry = entry_in(place, list);
  word_in(place, list)->store(static_cast<uint32_t>(own_tid()));
  before(entry) = &list->list;
  entry->next = list->list.next;
  if (entry->next != &list->list) before(entry->next) = entry;
  list->list.next = entry;
}

}  // namespace

FACT(offset, "futex_offset is negative, the same for all threads, and the entry begins 8 to 64 bytes behind its word") {
  const long offset = -own_list()->futex_offset;
  EXPECT(offset >= 8 && offset <= 64);
  long other = 0;
  std::thread([&] { other = -own_list()->futex_offset; }).join();
  EXPECT_EQ(other, offset);
}

FACT(linked_by_hand, "the kernel marks a word that was linked into the libc's list by hand") {
  Place* place = shared<Place>();
  EXPECT_EQ(end_of(in_child([=] { link_first(place, own_list()); })), 0);
  EXPECT_EQ(word_in(place, own_list())->load(), kDied);
}

FACT(among_the_libcs, "a libc links and unlinks its own robust mutexes around an entry that is not its own") {
  struct Stage {
    Place place;
    pthread_mutex_t older, kept, younger;
  };
  Stage* stage = shared<Stage>();
  for (auto* mutex : {&stage->older, &stage->kept, &stage->younger}) make_robust(mutex);
  const pid_t child = in_child([=] {
    pthread_mutex_lock(&stage->older);
    pthread_mutex_lock(&stage->kept);
    link_first(&stage->place, own_list());
    pthread_mutex_lock(&stage->younger);
    pthread_mutex_unlock(&stage->older);
    pthread_mutex_unlock(&stage->younger);
  });
  EXPECT_EQ(end_of(child), 0);
  EXPECT_EQ(word_in(&stage->place, own_list())->load(), kDied);
  EXPECT_EQ(word_of(&stage->kept)->load(), kDied);
  EXPECT_EQ(word_of(&stage->older)->load(), 0);
  EXPECT_EQ(word_of(&stage->younger)->load(), 0);
}

FACT(bad_pointer, "at an entry that leads nowhere the kernel stops, and the thread ends as it would; what came before is marked") {
  struct Stage {
    Place first, second;
  };
  Stage* stage = shared<Stage>();
  const pid_t child = in_child([=] {
    robust_list_head* list = own_list();
    link_first(&stage->second, list);
    link_first(&stage->first, list);
    entry_in(&stage->first, list)->next = reinterpret_cast<robust_list*>(uintptr_t{0x4141414141414140});
  });
  EXPECT_EQ(end_of(child), 0);
  const robust_list_head* list = own_list();
  EXPECT_EQ(word_in(&stage->first, list)->load(), kDied);
  EXPECT_EQ(word_in(&stage->second, list)->load(), child);
}

FACT(round_and_round, "a list that leads round in a circle is walked to its limit, and the thread ends") {
  Place* place = shared<Place>();
  const pid_t child = in_child([=] {
    robust_list_head* list = own_list();
    link_first(place, list);
    entry_in(place, list)->next = entry_in(place, list);
  });
  EXPECT_EQ(end_of(child), 0);
  EXPECT_EQ(word_in(place, own_list())->load(), kDied);
}

FACT(others_word, "a word in the list that has another thread's id is left as it is") {
  Place* place = shared<Place>();
  const auto other = static_cast<uint32_t>(own_tid());
  const pid_t child = in_child([=] {
    link_first(place, own_list());
    word_in(place, own_list())->store(other);
  });
  EXPECT_EQ(end_of(child), 0);
  EXPECT_EQ(word_in(place, own_list())->load(), other);
}

FACT(longest, "of a longer list the kernel marks the first 2,048 words, and no more") {
  constexpr int kLongest = 2048;
  struct Stage {
    Place places[kLongest + 1];
  };
  Stage* stage = shared<Stage>();
  const pid_t child = in_child([=] {
    for (Place& place : stage->places) link_first(&place, own_list());
  });
  EXPECT_EQ(end_of(child), 0);
  const robust_list_head* list = own_list();
  EXPECT_EQ(word_in(&stage->places[0], list)->load(), child);  // linked first, and so the last one
  for (int i = 1; i <= kLongest; i++) EXPECT_EQ(word_in(&stage->places[i], list)->load(), kDied);
}

namespace {

// A thread of this process that sleeps, and has a word that another thread has put into its list.
struct Sleeper {
  Place place;
  std::atomic<robust_list_head*> list;
  std::atomic<pid_t> tid;
};

void start_sleeper_with_word(Sleeper* sleeper) {
  std::thread([=] {
    sleeper->tid.store(own_tid());
    sleeper->list.store(own_list());
    for (;;) pause();
  }).detach();
  UNTIL(sleeper->list.load() != nullptr);
  link_first(&sleeper->place, sleeper->list.load());
  word_in(&sleeper->place, sleeper->list.load())->store(static_cast<uint32_t>(sleeper->tid.load()) | kWaiters);
}

}  // namespace

FACT(by_another, "what a thread puts into the list of another one, with that one's id, is marked when the process ends or executes") {
  const auto by_kill = [] { kill(getpid(), SIGKILL); };
  const auto by_exit = [] { _exit(0); };
  const auto by_exec = [] { execl("/proc/self/exe", "contract", "list", nullptr); };
  // Also what the thread itself that calls execve holds in its own list is not marked: see gone.cc.
  const auto by_exec_of_thread = [] {
    std::thread([] { execl("/proc/self/exe", "contract", "list", nullptr); }).detach();
    for (;;) pause();
  };
  void (*const ways[])() = {by_kill, by_exit, by_exec, by_exec_of_thread};
  for (const auto way : ways) {
    Sleeper* sleeper = shared<Sleeper>();
    end_of(in_child([=] {
      const int nowhere = open("/dev/null", O_WRONLY);
      dup2(nowhere, STDOUT_FILENO);
      start_sleeper_with_word(sleeper);
      way();
    }));
    EXPECT_EQ(word_in(&sleeper->place, own_list())->load(), kDied | kWaiters);
  }
}

FACT(stopped_first, "SIGKILL has stopped a thread that runs before the words of one that sleeps are marked") {
  struct Stage {
    Sleeper sleeper;
    std::atomic<long> steps;
  };
  for (int i = 0; i < 30; i++) {
    Stage* stage = shared<Stage>();
    const pid_t child = in_child([=] {
      start_sleeper_with_word(&stage->sleeper);
      for (;;) stage->steps.fetch_add(1);
    });
    UNTIL(stage->steps.load() > 0);
    kill(child, SIGKILL);
    const Word* word = word_in(&stage->sleeper.place, own_list());
    while ((word->load() & kDied) == 0) sched_yield();
    const long steps = stage->steps.load();
    end_of(child);
    EXPECT_EQ(stage->steps.load(), steps);
  }
}
