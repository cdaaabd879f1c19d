#include "standing.h"

#include <linux/capability.h>
#include <sched.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace forklock {
namespace {

using Numbers = std::vector<uint64_t>;

void add(Numbers* out, long number) { out->push_back(static_cast<uint64_t>(number)); }

void add_users(Numbers* out) {
  uid_t users[3] = {};
  gid_t groups[3] = {};
  getresuid(&users[0], &users[1], &users[2]);
  getresgid(&groups[0], &groups[1], &groups[2]);
  for (const uid_t user : users) add(out, user);
  for (const gid_t group : groups) add(out, group);
  const int n = getgroups(0, nullptr);
  std::vector<gid_t> others(n > 0 ? static_cast<size_t>(n) : 0);
  add(out, n > 0 ? getgroups(n, others.data()) : n);
  for (const gid_t group : others) add(out, group);
}

void add_capabilities(Numbers* out) {
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3] = {};
  syscall(SYS_capget, &header, sets);
  for (const __user_cap_data_struct& set : sets) {
    for (const uint32_t part : {set.effective, set.permitted, set.inheritable}) add(out, part);
  }
  const bool inherits = (sets[0].inheritable | sets[1].inheritable) != 0;  // else none is ambient
  uint64_t bounding = 0;
  uint64_t ambient = 0;
  for (int capability = 0; capability < 64; capability++) {
    const int may = prctl(PR_CAPBSET_READ, capability, 0, 0, 0);
    if (may < 0) break;  // there are no more
    bounding |= static_cast<uint64_t>(may) << capability;
    const int is = inherits ? prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, capability, 0, 0) : 0;
    ambient |= static_cast<uint64_t>(is == 1) << capability;
  }
  out->push_back(bounding);
  out->push_back(ambient);
  add(out, prctl(PR_GET_SECUREBITS, 0, 0, 0, 0));
  add(out, prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
  add(out, prctl(PR_GET_SECCOMP, 0, 0, 0, 0));
}

void add_limits(Numbers* out) {
  for (int resource = 0; resource < RLIM_NLIMITS; resource++) {
    uint64_t limit[2] = {};  // now, at most
    syscall(SYS_prlimit64, 0, resource, nullptr, limit);
    for (const uint64_t bound : limit) out->push_back(bound);
  }
}

void add_scheduling(Numbers* out) {
  add(out, getpriority(PRIO_PROCESS, 0));
  add(out, sched_getscheduler(0));
  unsigned long processors[1024 / sizeof(unsigned long)] = {};
  const long bytes = syscall(SYS_sched_getaffinity, 0, sizeof processors, processors);
  for (long i = 0; i < bytes / static_cast<long>(sizeof(unsigned long)); i++) out->push_back(processors[i]);
}

}  // namespace

std::vector<uint64_t> standing() {
  Numbers out;
  out.reserve(96);
  add_users(&out);
  add_capabilities(&out);
  add_limits(&out);
  add_scheduling(&out);
  add(&out, getsid(0));
  add(&out, getpgrp());
  return out;
}

bool starts_hidden() {
  return getauxval(AT_SECURE) != 0 || getuid() != geteuid() || getgid() != getegid();
}

}  // namespace forklock
