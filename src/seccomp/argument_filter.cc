#include "seccomp/argument_filter.h"

#include <linux/seccomp.h>

#include <cstddef>

namespace clawrun::seccomp {

namespace {

using Program = std::vector<sock_filter>;

constexpr std::uint16_t kLoad = BPF_LD | BPF_W | BPF_ABS;
constexpr std::size_t kMaxShortJump = 255;  // jt and jf are bytes

sock_filter statement(unsigned code, std::uint32_t k) {
  return {static_cast<std::uint16_t>(code), 0, 0, k};
}

// One conditional answer: comparisons in a row, each of which falls through where it holds, then the answer. A comparison
// that fails jumps behind the answer, a distance that is known only at the end.
class AnswerWriter {
 public:
  Result<Program> write(const ConditionalAnswer& answer) {
    for (const Condition& condition : answer.conditions) compare(condition);
    code_.push_back(statement(BPF_RET | BPF_K, answer.action));
    for (const Fail& fail_jump : fails_) {
      const std::size_t distance = code_.size() - fail_jump.at - 1;
      if (distance > kMaxShortJump) return fail(ErrorKind::kInvalid, "a rule with more comparisons than a filter can hold");
      (fail_jump.when_true ? code_[fail_jump.at].jt : code_[fail_jump.at].jf) = static_cast<std::uint8_t>(distance);
    }
    return std::move(code_);
  }

 private:
  struct Fail {
    std::size_t at;
    bool when_true;
  };

  void load(const Condition& condition, bool high_half) {
    const std::size_t offset = offsetof(seccomp_data, args) + (condition.index * sizeof(std::uint64_t)) + (high_half ? 4 : 0);
    code_.push_back(statement(kLoad, static_cast<std::uint32_t>(offset)));
  }
  void fail_unless(unsigned test, std::uint32_t k) {
    fails_.push_back({code_.size(), false});
    code_.push_back(statement(BPF_JMP | test | BPF_K, k));
  }
  void fail_if(unsigned test, std::uint32_t k) {
    fails_.push_back({code_.size(), true});
    code_.push_back(statement(BPF_JMP | test | BPF_K, k));
  }
  // The comparison is decided: the next `skipped` instructions, its rest, are passed over.
  void pass_if(unsigned test, std::uint32_t k, std::uint8_t skipped) {
    code_.push_back({static_cast<std::uint16_t>(BPF_JMP | test | BPF_K), skipped, 0, k});
  }
  void pass_unless(unsigned test, std::uint32_t k, std::uint8_t skipped) {
    code_.push_back({static_cast<std::uint16_t>(BPF_JMP | test | BPF_K), 0, skipped, k});
  }

  void compare_masked(const Condition& condition) {
    for (const bool high_half : {true, false}) {
      if (high_half && condition.low_half_only) continue;
      const unsigned shift = high_half ? 32 : 0;
      const auto mask = static_cast<std::uint32_t>(condition.value >> shift);
      if (mask == 0) continue;  // nothing of this half is looked at
      load(condition, high_half);
      if (mask != UINT32_MAX) code_.push_back(statement(BPF_ALU | BPF_AND | BPF_K, mask));
      fail_unless(BPF_JEQ, static_cast<std::uint32_t>(condition.value_two >> shift));
    }
  }

  void compare_low_half(const Condition& condition) {
    const auto low = static_cast<std::uint32_t>(condition.value);
    load(condition, false);
    switch (condition.comparison) {
      case Comparison::kEqual:
        return fail_unless(BPF_JEQ, low);
      case Comparison::kNotEqual:
        return fail_if(BPF_JEQ, low);
      case Comparison::kGreater:
        return fail_unless(BPF_JGT, low);
      case Comparison::kGreaterOrEqual:
        return fail_unless(BPF_JGE, low);
      case Comparison::kLess:
        return fail_if(BPF_JGE, low);
      case Comparison::kLessOrEqual:
        return fail_if(BPF_JGT, low);
      case Comparison::kMaskedEqual:
        return;
    }
  }

  void compare(const Condition& condition) {
    if (condition.comparison == Comparison::kMaskedEqual) return compare_masked(condition);
    if (condition.low_half_only) return compare_low_half(condition);
    const auto high = static_cast<std::uint32_t>(condition.value >> 32U);
    const auto low = static_cast<std::uint32_t>(condition.value);
    load(condition, true);
    switch (condition.comparison) {
      case Comparison::kEqual:
        fail_unless(BPF_JEQ, high);
        load(condition, false);
        return fail_unless(BPF_JEQ, low);
      case Comparison::kNotEqual:
        pass_unless(BPF_JEQ, high, 2);
        load(condition, false);
        return fail_if(BPF_JEQ, low);
      case Comparison::kGreater:
      case Comparison::kGreaterOrEqual:
        pass_if(BPF_JGT, high, 3);
        fail_unless(BPF_JEQ, high);
        load(condition, false);
        return fail_unless(condition.comparison == Comparison::kGreater ? BPF_JGT : BPF_JGE, low);
      case Comparison::kLess:
      case Comparison::kLessOrEqual:
        fail_if(BPF_JGT, high);
        pass_unless(BPF_JEQ, high, 2);
        load(condition, false);
        return fail_if(condition.comparison == Comparison::kLess ? BPF_JGE : BPF_JGT, low);
      case Comparison::kMaskedEqual:
        return;
    }
  }

  Program code_;
  std::vector<Fail> fails_;
};

}  // namespace

Result<std::vector<sock_filter>> compile_answers(const Answers& answers) {
  Program code;
  for (const ConditionalAnswer& answer : answers.conditional) {
    const Program part = TRY(AnswerWriter().write(answer));
    code.insert(code.end(), part.begin(), part.end());
  }
  code.push_back(statement(BPF_RET | BPF_K, answers.otherwise));
  return code;
}

}  // namespace clawrun::seccomp
