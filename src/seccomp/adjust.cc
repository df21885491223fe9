#include "seccomp/adjust.h"

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/prctl.h>
#include <linux/seccomp.h>

#include <cerrno>
#include <cstddef>

#include "seccomp/profile.h"
#include "seccomp/table.h"

namespace clawrun::seccomp {

void ignore_start_cookie(Compiled& compiled) {
  constexpr auto kHigh = static_cast<std::uint32_t>(kStartCookiePlaceholder >> 32U);
  constexpr auto kLow = static_cast<std::uint32_t>(kStartCookiePlaceholder);
  for (std::vector<sock_filter>& filter : compiled.filters)
    for (sock_filter& instruction : filter)
      if (instruction.code == (BPF_JMP | BPF_JEQ | BPF_K) && (instruction.k == kHigh || instruction.k == kLow))
        instruction.jf = instruction.jt;
  compiled.has_start_cookie = false;
}

namespace {

constexpr std::uint32_t kNr = offsetof(seccomp_data, nr);
constexpr std::uint32_t kArch = offsetof(seccomp_data, arch);

// The low half of an argument: both our machines are little-endian.
constexpr std::uint32_t low_half(unsigned argument) {
  return static_cast<std::uint32_t>(offsetof(seccomp_data, args) + argument * sizeof(std::uint64_t));
}

using Filter = std::vector<sock_filter>;

void add(Filter& filter, std::uint16_t code, std::uint32_t k, std::uint8_t jt = 0, std::uint8_t jf = 0) {
  filter.push_back({code, jt, jf, k});
}

void answer(Filter& filter, std::uint32_t action) {
  add(filter, BPF_RET | BPF_K, action);
}

constexpr std::uint32_t kRefused = SECCOMP_RET_ERRNO | EPERM;

// Goes on only for calls of this architecture's own entry.
Filter native_only() {
  Filter filter;
  add(filter, BPF_LD | BPF_W | BPF_ABS, kArch);
  add(filter, BPF_JMP | BPF_JEQ | BPF_K, audit_arch(kNativeArch), 1, 0);
  answer(filter, kRefused);
  if (kNativeArch == Arch::kX86_64) {
    add(filter, BPF_LD | BPF_W | BPF_ABS, kNr);
    add(filter, BPF_JMP | BPF_JGE | BPF_K, kX32Bit, 0, 1);
    answer(filter, kRefused);
  }
  return filter;
}

constexpr SetIdCall kModes[] = {{"chmod", 1, -1}, {"fchmod", 1, -1},  {"fchmodat", 2, -1}, {"fchmodat2", 2, -1}, {"creat", 1, -1},
                                {"mknod", 1, -1}, {"mknodat", 2, -1}, {"open", 2, 1},      {"openat", 3, 2}};

}  // namespace

std::span<const SetIdCall> set_id_calls() {
  return kModes;
}

std::vector<sock_filter> keep_parent_death_signal() {
  Filter filter = native_only();
  add(filter, BPF_LD | BPF_W | BPF_ABS, kNr);
  add(filter, BPF_JMP | BPF_JEQ | BPF_K, static_cast<std::uint32_t>(syscall_number(kNativeArch, "prctl").number), 0, 3);
  add(filter, BPF_LD | BPF_W | BPF_ABS, low_half(0));
  add(filter, BPF_JMP | BPF_JEQ | BPF_K, PR_SET_PDEATHSIG, 0, 1);
  answer(filter, kRefused);
  answer(filter, SECCOMP_RET_ALLOW);
  return filter;
}

std::vector<sock_filter> refuse_set_id_files() {
  constexpr std::uint32_t kSetId = 06000;
  constexpr std::uint32_t kMakes = O_CREAT | (O_TMPFILE & ~O_DIRECTORY);
  Filter filter = native_only();
  for (const SetIdCall& row : kModes) {
    const NameLookup found = syscall_number(kNativeArch, row.name);
    if (found.status != NameStatus::kKnown) continue;
    add(filter, BPF_LD | BPF_W | BPF_ABS, kNr);
    add(filter, BPF_JMP | BPF_JEQ | BPF_K, static_cast<std::uint32_t>(found.number), 0, row.flags < 0 ? 4 : 6);
    if (row.flags >= 0) {
      add(filter, BPF_LD | BPF_W | BPF_ABS, low_half(static_cast<unsigned>(row.flags)));
      add(filter, BPF_JMP | BPF_JSET | BPF_K, kMakes, 0, 3);
    }
    add(filter, BPF_LD | BPF_W | BPF_ABS, low_half(row.mode));
    add(filter, BPF_JMP | BPF_JSET | BPF_K, kSetId, 0, 1);
    answer(filter, kRefused);
    answer(filter, SECCOMP_RET_ALLOW);
  }
  for (const char* call : kSetIdInMemory) {
    add(filter, BPF_LD | BPF_W | BPF_ABS, kNr);
    add(filter, BPF_JMP | BPF_JEQ | BPF_K, static_cast<std::uint32_t>(syscall_number(kNativeArch, call).number), 0, 1);
    answer(filter, SECCOMP_RET_ERRNO | ENOSYS);
  }
  answer(filter, SECCOMP_RET_ALLOW);
  return filter;
}

}  // namespace clawrun::seccomp
