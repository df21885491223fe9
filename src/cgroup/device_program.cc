#include "cgroup/device_program.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <span>

namespace clawrun::cgroup {

namespace {

enum Register : std::uint8_t { kAnswer = 0, kContext = 1, kAccess = 2, kMajor = 3, kMinor = 4, kBoth = 5 };

// Where a jump leads: an end of the program that answers for a granted DeviceAccess, 0 to 7, or the second type's part.
using Label = std::size_t;
constexpr Label kSecondType = 8;
constexpr Label kLabels = 9;

constexpr unsigned kMinorBits = 20;

std::int32_t denied_bits(DeviceAccess granted) {
  return (~granted & kFullAccess) << 16;  // the accesses are in the upper half of access_type
}

std::int32_t key_of(const DeviceTable::Entry& entry) {
  return static_cast<std::int32_t>(entry.major.value_or(0) << kMinorBits | entry.minor.value_or(0));
}

class Program {
 public:
  void emit(int code, unsigned to, unsigned from, std::int32_t value, std::size_t offset = 0) {
    code_.push_back({.code = static_cast<__u8>(code),
                     .dst_reg = static_cast<__u8>(to & 15),
                     .src_reg = static_cast<__u8>(from & 15),
                     .off = static_cast<__s16>(offset),
                     .imm = value});
  }

  void load(Register to, std::size_t field) { emit(BPF_LDX | BPF_MEM | BPF_W, to, kContext, 0, field); }
  void answer(std::int32_t value) { emit(BPF_ALU64 | BPF_MOV | BPF_K, kAnswer, 0, value); }
  void exit() { emit(BPF_JMP | BPF_EXIT, 0, 0, 0); }

  void jump_if(int condition, Register left, std::int32_t right, Label to) {
    jumps_.push_back({code_.size(), to});
    is_target_[to] = true;
    emit(BPF_JMP | condition | BPF_K, left, 0, right);
  }
  void jump(Label to) { jump_if(BPF_JA, kAnswer, 0, to); }
  // Turns "if equal, to `to`" at the end into "if not, to 0": what follows must be where it led. False where there is no such
  // end.
  bool turn_last(Label to) {
    if (code_.empty() || code_.back().code != (BPF_JMP | BPF_JEQ | BPF_K) || jumps_.back().to != to) return false;
    code_.back().code = BPF_JMP | BPF_JNE | BPF_K;
    jumps_.back().to = 0;
    return true;
  }
  void place(Label label) { positions_[label] = code_.size(); }
  [[nodiscard]] bool is_target(Label label) const { return is_target_[label]; }

  std::vector<bpf_insn> finish() && {
    for (const Jump& jump : jumps_) code_[jump.at].off = static_cast<__s16>(positions_[jump.to] - jump.at - 1);
    return std::move(code_);
  }

 private:
  struct Jump {
    std::size_t at;
    Label to;
  };
  std::vector<bpf_insn> code_;
  std::vector<Jump> jumps_;
  std::array<std::size_t, kLabels> positions_{};
  std::array<bool, kLabels> is_target_{};
};

bool is_partial(DeviceAccess granted) {
  return granted != 0 && granted != kFullAccess;
}

// Whether an answer depends on which accesses are asked for.
bool has_partial(const DeviceTable& table) {
  const auto any = [](const std::vector<DeviceTable::Entry>& entries) {
    return std::ranges::any_of(entries, is_partial, &DeviceTable::Entry::granted);
  };
  return is_partial(table.rest) || any(table.exact) || any(table.majors) || any(table.minors);
}

bool is_constant(const DeviceTable& table) {
  return table.exact.empty() && table.majors.empty() && table.minors.empty();
}

// Into the registers, what the entries are compared with. Returns the one that holds both numbers.
Register load_numbers(Program& program, std::span<const DeviceTable* const> tables) {
  const auto any = [tables](auto member) {
    return std::ranges::any_of(tables, [member](const DeviceTable* table) { return !(table->*member).empty(); });
  };
  const bool exact = any(&DeviceTable::exact);
  const bool majors = any(&DeviceTable::majors);
  if (exact || majors) program.load(kMajor, offsetof(bpf_cgroup_dev_ctx, major));
  if (exact || any(&DeviceTable::minors)) program.load(kMinor, offsetof(bpf_cgroup_dev_ctx, minor));
  if (!exact) return kMajor;
  const Register key = majors ? kBoth : kMajor;
  if (majors) program.emit(BPF_ALU64 | BPF_MOV | BPF_X, key, kMajor, 0);
  // A comparison extends the sign of its 32-bit constant: from major 2048 on the key has to be negative too.
  const bool has_negative = std::ranges::any_of(
      tables, [](const DeviceTable* table) { return !table->exact.empty() && key_of(table->exact.back()) < 0; });
  program.emit(BPF_ALU64 | BPF_LSH | BPF_K, key, 0, has_negative ? kMinorBits + 32 : kMinorBits);
  if (has_negative) program.emit(BPF_ALU64 | BPF_ARSH | BPF_K, key, 0, 32);
  program.emit(BPF_ALU64 | BPF_OR | BPF_X, key, kMinor, 0);
  return key;
}

// One comparison for each entry, two for a run of neighbours with the same answer.
void compare(Program& program, Register with, const std::vector<DeviceTable::Entry>& entries,
             std::int32_t (*key)(const DeviceTable::Entry&)) {
  for (std::size_t first = 0; first < entries.size();) {
    std::size_t last = first;
    while (last + 1 < entries.size() && entries[last + 1].granted == entries[first].granted &&
           key(entries[last + 1]) == key(entries[last]) + 1)
      ++last;
    if (last - first < 2) last = first;
    if (last == first) {
      program.jump_if(BPF_JEQ, with, key(entries[first]), entries[first].granted);
    } else {
      program.emit(BPF_JMP | BPF_JLT | BPF_K, with, 0, key(entries[first]), 1);
      program.jump_if(BPF_JLE, with, key(entries[last]), entries[first].granted);
    }
    first = last + 1;
  }
}

void compare_all(Program& program, const DeviceTable& table, Register key) {
  compare(program, key, table.exact, key_of);
  compare(program, kMajor, table.majors, [](const DeviceTable::Entry& entry) { return static_cast<std::int32_t>(*entry.major); });
  compare(program, kMinor, table.minors, [](const DeviceTable::Entry& entry) { return static_cast<std::int32_t>(*entry.minor); });
}

// What all comparisons lead to, and first, for what matched none of them, the answer for `rest`. The answer is 0 until the
// last but one instruction.
void end(Program& program, DeviceAccess rest) {
  std::vector<DeviceAccess> partial;
  for (DeviceAccess granted = 1; granted < kFullAccess; ++granted)
    if (granted != rest && program.is_target(granted)) partial.push_back(granted);
  const bool answers_1 = rest != 0 || !partial.empty() || program.is_target(kFullAccess);
  if (rest == 0 && answers_1 && !(partial.empty() && program.turn_last(kFullAccess))) program.jump(0);
  if (rest == kFullAccess && !partial.empty()) program.jump(kFullAccess);
  if (is_partial(rest)) partial.insert(partial.begin(), rest);
  for (const DeviceAccess granted : partial) {
    program.place(granted);
    program.jump_if(BPF_JSET, kAccess, denied_bits(granted), 0);
    if (granted != partial.back()) program.jump(kFullAccess);
  }
  program.place(kFullAccess);
  if (answers_1) program.answer(1);
  program.place(0);
  program.exit();
}

}  // namespace

std::vector<bpf_insn> compile_device_program(const DeviceTables& tables) {
  Program program;
  const DeviceTable* first = &tables.character;
  const DeviceTable* second = &tables.block;
  if (is_constant(*second)) std::swap(first, second);
  const bool one = *first == *second;
  if (!one || !is_constant(*second) || second->rest != kFullAccess) program.answer(0);
  if (!one || has_partial(*second)) program.load(kAccess, offsetof(bpf_cgroup_dev_ctx, access_type));
  // The type that needs no numbers is a jump to its answer.
  const std::int32_t first_type = first == &tables.block ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR;
  const std::int32_t second_type = BPF_DEVCG_DEV_BLOCK + BPF_DEVCG_DEV_CHAR - first_type;
  if (!one && is_constant(*first)) program.jump_if(BPF_JSET, kAccess, first_type, first->rest);
  const DeviceTable* const both[] = {first, second};
  const Register key = load_numbers(program, both);
  if (!one && !is_constant(*first)) {
    program.jump_if(BPF_JSET, kAccess, second_type, kSecondType);
    compare_all(program, *first, key);
    program.jump(first->rest);
    program.place(kSecondType);
  }
  compare_all(program, *second, key);
  end(program, second->rest);
  return std::move(program).finish();
}

}  // namespace clawrun::cgroup
