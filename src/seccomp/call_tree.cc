#include "seccomp/call_tree.h"

#include <linux/seccomp.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <span>

#include "seccomp/argument_filter.h"

namespace clawrun::seccomp {

namespace {

using Program = std::vector<sock_filter>;

constexpr std::uint32_t kNoSuchCall = SECCOMP_RET_ERRNO | ENOSYS;
constexpr std::size_t kMaxShortJump = 255;  // jt and jf are bytes

// The calls from `first` up to the next range.
struct Range {
  std::uint32_t first = 0;
  Program code;  // ends with an answer on each way through
};

Program answer(std::uint32_t action) {
  return {{BPF_RET | BPF_K, 0, 0, action}};
}

bool same(const Program& a, const Program& b) {
  return std::ranges::equal(a, b, [](const sock_filter& x, const sock_filter& y) {
    return x.code == y.code && x.jt == y.jt && x.jf == y.jf && x.k == y.k;
  });
}

void add_range(std::vector<Range>& ranges, std::uint32_t first, Program code) {
  if (!ranges.empty() && ranges.back().first == first) ranges.pop_back();  // the range before it is empty
  if (ranges.empty() || !same(ranges.back().code, code)) ranges.push_back({first, std::move(code)});
}

Result<std::vector<Range>> make_ranges(const Table& table) {
  std::vector<Range> ranges;
  add_range(ranges, 0, answer(table.default_action));
  for (const auto& [number, answers] : table.by_number) {
    Program code = TRY(compile_answers(answers));
    add_range(ranges, static_cast<std::uint32_t>(number), std::move(code));
    add_range(ranges, static_cast<std::uint32_t>(number) + 1, answer(table.default_action));
  }
  if (table.arch == Arch::kX86_64) add_range(ranges, kX32Bit, answer(kNoSuchCall));
  return ranges;
}

// Writes from the last instruction to the first, so that the target of each jump is there before the jump, and one copy of
// an answer serves all jumps that reach it. A place is counted from the end.
class TreeWriter {
 public:
  using Place = std::size_t;

  Place search(std::span<const Range> ranges) {
    if (ranges.size() == 1) return code(ranges[0].code);
    const std::size_t middle = ranges.size() / 2;
    const Place high = search(ranges.subspan(middle));
    const Place low = search(ranges.first(middle));
    return compare(BPF_JGE, ranges[middle].first, high, low);
  }

  Place code(const Program& program) {
    for (const Written& written : written_)
      if (reversed_.size() - written.place < kMaxShortJump - kNearby && same(*written.program, program)) return written.place;
    reversed_.insert(reversed_.end(), program.rbegin(), program.rend());
    std::erase_if(written_, [&](const Written& written) { return same(*written.program, program); });
    written_.push_back({&program, reversed_.size() - 1});
    return reversed_.size() - 1;
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

  struct Written {
    const Program* program;
    Place place;
  };

  std::size_t distance(Place target) const { return reversed_.size() - target - 1; }
  Place push(const sock_filter& step) {
    reversed_.push_back(step);
    return reversed_.size() - 1;
  }
  Place nearer(Place target) { return push({BPF_JMP | BPF_JA, 0, 0, static_cast<std::uint32_t>(distance(target))}); }

  Program reversed_;
  std::vector<Written> written_;
};

}  // namespace

Result<std::vector<sock_filter>> compile_calls(const Table& table) {
  const std::vector<Range> ranges = TRY(make_ranges(table));
  const Program wrong_arch = answer(kNoSuchCall);
  TreeWriter writer;
  writer.search(ranges);
  const TreeWriter::Place by_number = writer.load(offsetof(seccomp_data, nr));
  // Numbers mean other calls on another architecture.
  const TreeWriter::Place other = writer.code(wrong_arch);
  writer.compare(BPF_JEQ, audit_arch(table.arch), by_number, other);
  writer.load(offsetof(seccomp_data, arch));
  return std::move(writer).take();
}

}  // namespace clawrun::seccomp
