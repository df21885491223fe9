#include "oci/seccomp_split.h"

#include <linux/seccomp.h>

#include <algorithm>
#include <string>

namespace clawrun::oci {

namespace {

using Program = std::vector<sock_filter>;
using seccomp::ArchCalls;
using seccomp::CallRange;

// The kernel's limit for all filters of a process together is MAX_INSNS_PER_PATH, eight of the largest.
constexpr std::size_t kMaxPrograms = 8;

// Ranges are counted through all architectures; a window is a run of them, of `first` up to but not `end`.
struct Window {
  std::size_t first = 0;
  std::size_t end = 0;
};

// The instructions that a range costs, about: its leaf may be shared, its comparison is its own.
std::size_t weight(const CallRange& range, std::span<const seccomp::Leaf> leaves) {
  return leaves[range.leaf].size() + 1;
}

std::vector<Window> equal_windows(const FilterParts& parts, std::size_t count) {
  const auto& leaves = parts.leaves.list();
  std::size_t total = 0;
  for (const ArchCalls& arch : parts.arches)
    for (const CallRange& range : arch.ranges) total += weight(range, leaves);
  std::vector<Window> windows{{}};
  std::size_t sum = 0;
  std::size_t index = 0;
  for (const ArchCalls& arch : parts.arches)
    for (const CallRange& range : arch.ranges) {
      if (windows.size() < count && sum * count >= windows.size() * total) windows.push_back({index, index});
      sum += weight(range, leaves);
      windows.back().end = ++index;
    }
  return windows;
}

// The number of the native range that `number` lies in.
std::size_t range_of(const ArchCalls& native, std::uint32_t number) {
  const auto next = std::ranges::upper_bound(native.ranges, number, {}, &CallRange::first);
  return static_cast<std::size_t>(next - native.ranges.begin()) - 1;
}

bool notifies(const seccomp::Leaf& leaf) {
  return std::ranges::any_of(leaf, [](const sock_filter& step) {
    return step.code == (BPF_RET | BPF_K) && (step.k & SECCOMP_RET_ACTION_FULL) == SECCOMP_RET_USER_NOTIF;
  });
}

struct Cut {
  Window window;
  bool is_last = false;
  std::size_t allow = 0;  // the leaf
};

Program write_cut(const FilterParts& parts, const Cut& cut) {
  const auto& leaves = parts.leaves.list();
  std::vector<ArchCalls> arches;
  std::size_t index = 0;
  for (const ArchCalls& arch : parts.arches) {
    ArchCalls& own = arches.emplace_back(ArchCalls{.audit_arch = arch.audit_arch, .ranges = {}});
    for (const CallRange& range : arch.ranges) {
      const bool in_window = index >= cut.window.first && index < cut.window.end;
      // A process can have one listener, so one program has all that is for it.
      const bool decides = notifies(leaves[range.leaf]) ? cut.is_last : in_window;
      seccomp::add_range(own.ranges, range.first, decides ? range.leaf : cut.allow);
      ++index;
    }
  }
  return seccomp::write_filter(arches, leaves, parts.other_arch);
}

// Empty where a program is still too long.
std::vector<Program> write_windows(const FilterParts& parts, std::size_t count) {
  std::vector<Window> windows = equal_windows(parts, count);
  const std::size_t load_range = range_of(parts.arches[0], parts.load_number);
  std::ranges::stable_partition(windows,
                                [&](const Window& window) { return load_range < window.first || load_range >= window.end; });
  const std::size_t allow = parts.leaves.add_answer(SECCOMP_RET_ALLOW);
  std::vector<Program> programs;
  for (const Window& window : windows) {
    programs.push_back(write_cut(parts, {.window = window, .is_last = &window == &windows.back(), .allow = allow}));
    if (programs.back().size() > BPF_MAXINSNS) return {};
  }
  return programs;
}

}  // namespace

Result<std::vector<Program>> write_programs(const FilterParts& parts) {
  std::vector<Program> programs{seccomp::write_filter(parts.arches, parts.leaves.list(), parts.other_arch)};
  if (programs[0].size() <= BPF_MAXINSNS) return programs;
  for (std::size_t count = 2; count <= kMaxPrograms; ++count) {
    programs = write_windows(parts, count);
    if (!programs.empty()) return programs;
  }
  return fail(ErrorKind::kInvalid, "linux.seccomp: the rules need more than " + std::to_string(kMaxPrograms) + " filters of " +
                                       std::to_string(BPF_MAXINSNS) + " instructions, which is what the kernel takes");
}

}  // namespace clawrun::oci
