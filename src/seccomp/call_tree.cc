#include "seccomp/call_tree.h"

#include <linux/seccomp.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <optional>
#include <span>

#include "seccomp/argument_filter.h"

namespace clawrun::seccomp {

namespace {

using Program = std::vector<sock_filter>;

constexpr std::uint32_t kNoSuchCall = SECCOMP_RET_ERRNO | ENOSYS;
constexpr std::size_t kMaxShortJump = 255;  // jt and jf are bytes

bool same(const Leaf& a, const Leaf& b) {
  return std::ranges::equal(a, b, [](const sock_filter& x, const sock_filter& y) {
    return x.code == y.code && x.jt == y.jt && x.jf == y.jf && x.k == y.k;
  });
}

// Writes from the last instruction to the first, so that the target of each jump is there before the jump, and one copy of
// an answer serves all jumps that reach it. A place is counted from the end.
class TreeWriter {
 public:
  using Place = std::size_t;

  explicit TreeWriter(std::span<const Leaf> leaves) : leaves_(leaves), written_(leaves.size()) {}

  Place search(std::span<const CallRange> ranges) {
    if (ranges.size() == 1) return leaf(ranges[0].leaf);
    const std::size_t middle = ranges.size() / 2;
    const Place high = search(ranges.subspan(middle));
    const Place low = search(ranges.first(middle));
    return compare(BPF_JGE, ranges[middle].first, high, low);
  }

  Place leaf(std::size_t which) {
    std::optional<Place>& written = written_[which];
    if (written && reversed_.size() - *written < kMaxShortJump - kNearby) return *written;
    const Leaf& code = leaves_[which];
    reversed_.insert(reversed_.end(), code.rbegin(), code.rend());
    written = reversed_.size() - 1;
    return *written;
  }

  Place compare(unsigned test, std::uint32_t k, Place if_true, Place if_false) {
    // Bringing one nearer moves the other by one.
    if (distance(if_true) + 1 > kMaxShortJump) if_true = nearer(if_true);
    if (distance(if_false) > kMaxShortJump) if_false = nearer(if_false);
    return push({static_cast<std::uint16_t>(BPF_JMP | test | BPF_K), static_cast<std::uint8_t>(distance(if_true)),
                 static_cast<std::uint8_t>(distance(if_false)), k});
  }

  Place load(std::uint32_t offset) { return push({BPF_LD | BPF_W | BPF_ABS, 0, 0, offset}); }

  Program take() && {
    std::ranges::reverse(reversed_);
    return std::move(reversed_);
  }

 private:
  // An answer is used again only where the comparisons that lead to it will still reach it.
  static constexpr std::size_t kNearby = 64;

  std::size_t distance(Place target) const { return reversed_.size() - target - 1; }
  Place push(const sock_filter& step) {
    reversed_.push_back(step);
    return reversed_.size() - 1;
  }
  Place nearer(Place target) { return push({BPF_JMP | BPF_JA, 0, 0, static_cast<std::uint32_t>(distance(target))}); }

  std::span<const Leaf> leaves_;
  std::vector<std::optional<Place>> written_;  // for each leaf, its last copy
  Program reversed_;
};

}  // namespace

std::size_t Leaves::add(Leaf leaf) {
  const auto known = std::ranges::find_if(leaves_, [&](const Leaf& other) { return same(leaf, other); });
  if (known != leaves_.end()) return static_cast<std::size_t>(known - leaves_.begin());
  leaves_.push_back(std::move(leaf));
  return leaves_.size() - 1;
}

void add_range(std::vector<CallRange>& ranges, std::uint32_t first, std::size_t leaf) {
  if (!ranges.empty() && ranges.back().first == first) ranges.pop_back();  // the range before it is empty
  if (ranges.empty() || ranges.back().leaf != leaf) ranges.push_back({first, leaf});
}

std::vector<sock_filter> write_filter(std::span<const ArchCalls> arches, std::span<const Leaf> leaves, std::size_t other_arch) {
  TreeWriter writer(leaves);
  TreeWriter::Place next = writer.leaf(other_arch);
  for (std::size_t i = arches.size(); i > 0; --i) {
    const ArchCalls& arch = arches[i - 1];
    TreeWriter::Place answer = writer.search(arch.ranges);
    // The load runs on into the first comparison. A single range has none, and its leaf may lie anywhere.
    if (arch.ranges.size() > 1) answer = writer.load(offsetof(seccomp_data, nr));
    next = writer.compare(BPF_JEQ, arch.audit_arch, answer, next);
  }
  // Numbers mean other calls on another architecture.
  writer.load(offsetof(seccomp_data, arch));
  return std::move(writer).take();
}

Result<std::vector<sock_filter>> compile_calls(const Table& table) {
  Leaves leaves;
  const std::size_t no_such_call = leaves.add_answer(kNoSuchCall);
  const std::size_t otherwise = leaves.add_answer(table.default_action);
  ArchCalls calls{.audit_arch = audit_arch(table.arch), .ranges = {}};
  add_range(calls.ranges, 0, otherwise);
  for (const auto& [number, answers] : table.by_number) {
    Leaf code = TRY(compile_answers(answers));
    add_range(calls.ranges, static_cast<std::uint32_t>(number), leaves.add(std::move(code)));
    add_range(calls.ranges, static_cast<std::uint32_t>(number) + 1, otherwise);
  }
  if (table.arch == Arch::kX86_64) add_range(calls.ranges, kX32Bit, no_such_call);
  return write_filter({&calls, 1}, leaves.list(), no_such_call);
}

}  // namespace clawrun::seccomp
