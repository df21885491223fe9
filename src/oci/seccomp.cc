#include "oci/seccomp.h"

#include <linux/seccomp.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "base/text.h"
#include "oci/seccomp_arch.h"
#include "oci/seccomp_rules.h"
#include "oci/seccomp_split.h"
#include "seccomp/argument_filter.h"
#include "seccomp/call_tree.h"

namespace clawrun::oci {

namespace {

using seccomp::Answers;
using seccomp::ArchCalls;
using seccomp::Condition;
using seccomp::ConditionalAnswer;
using seccomp::NameStatus;

constexpr std::uint32_t kNoSuchCall = SECCOMP_RET_ERRNO | ENOSYS;
constexpr std::uint32_t kLastNumber = UINT32_MAX;

// Far more than filters can hold; the limit keeps a hostile file from costing time.
constexpr std::size_t kMaxConditionalAnswers = 2048;

// One rule, for one number of one architecture.
struct NumberedRule {
  std::uint32_t number = 0;
  const SeccompRule* rule = nullptr;
};

struct MultiplexedRule {
  Multiplexed to;
  const SeccompRule* rule = nullptr;
};

struct Context {
  std::span<const SeccompRule> rules;
  std::uint32_t default_action = 0;
  bool new_calls_answer_enosys = false;
};

bool refuses(std::uint32_t action) {
  // TRACE as well does not: a tracer that emulates calls wants to see new ones.
  const std::uint32_t kind = action & SECCOMP_RET_ACTION_FULL;
  return kind != SECCOMP_RET_ALLOW && kind != SECCOMP_RET_LOG && kind != SECCOMP_RET_TRACE;
}

// Any of several conditional answers, the strictest first and in the order of the file among equals.
void add_conditional(Answers& answers, ConditionalAnswer answer) {
  const auto same = [&](const ConditionalAnswer& other) {
    return other.action == answer.action && other.conditions == answer.conditions;
  };
  if (std::ranges::any_of(answers.conditional, same)) return;
  const auto behind = std::ranges::find_if(
      answers.conditional, [&](const ConditionalAnswer& other) { return seccomp::is_stricter(answer.action, other.action); });
  answers.conditional.insert(behind, std::move(answer));
}

std::vector<Condition> fitted(const std::vector<Condition>& conditions, const SeccompArch& arch) {
  std::vector<Condition> all = conditions;
  if (!arch.low_half_only) return all;
  for (Condition& condition : all) {
    condition.low_half_only = true;
    condition.value &= UINT32_MAX;
    condition.value_two &= UINT32_MAX;
  }
  return all;
}

// Replaced by an unconditional answer, whose rule is the only one that counts.
struct Collected {
  Answers answers;
  bool is_final = false;

  void add(const SeccompRule& rule, const SeccompArch& arch) {
    if (is_final) return;
    if (rule.alternatives.empty()) {
      answers = {.conditional = {}, .otherwise = rule.action};
      is_final = true;
      return;
    }
    for (const auto& alternative : rule.alternatives) add_conditional(answers, {fitted(alternative, arch), rule.action});
  }
};

class ArchCompiler {
 public:
  ArchCompiler(const Context& context, const SeccompArch& arch, seccomp::Leaves& leaves)
      : context_(context), arch_(arch), leaves_(leaves) {}

  // Appends the ranges from arch.first_number on.
  Result<> append_to(std::vector<seccomp::CallRange>& ranges) {
    TRY(number_rules());
    const std::size_t otherwise = leaves_.add_answer(context_.default_action);
    seccomp::add_range(ranges, arch_.first_number, otherwise);
    for (auto begin = numbered_.begin(); begin != numbered_.end();) {
      const std::uint32_t number = begin->number;
      const auto end = std::find_if(begin, numbered_.end(), [&](const auto& other) { return other.number != number; });
      const std::size_t leaf = TRY(leaf_of({begin, end}, number));
      seccomp::add_range(ranges, number, leaf);
      seccomp::add_range(ranges, number + 1, otherwise);
      begin = end;
    }
    if (context_.new_calls_answer_enosys && highest_) seccomp::add_range(ranges, *highest_ + 1, leaves_.add_answer(kNoSuchCall));
    return {};
  }

 private:
  Result<> number_rules() {
    std::size_t alternatives = 0;
    for (const SeccompRule& rule : context_.rules) {
      alternatives += rule.names.size() * rule.alternatives.size();
      if (alternatives > kMaxConditionalAnswers)
        return fail(ErrorKind::kInvalid, "linux.seccomp.syscalls: more than " + std::to_string(kMaxConditionalAnswers) +
                                             " comparisons of arguments, which is more than a filter can hold");
      for (const std::string& name : rule.names) {
        const CallNumbers numbers = call_numbers(arch_, name);
        if (numbers.direct) highest_ = std::max(highest_.value_or(0), *numbers.direct);
        if (rule.action == context_.default_action) continue;
        if (numbers.direct) numbered_.push_back({*numbers.direct, &rule});
        if (numbers.multiplexed) {
          multiplexed_.push_back({*numbers.multiplexed, &rule});
          numbered_.push_back({numbers.multiplexed->number, nullptr});  // there is something to find at this number
        }
      }
    }
    std::ranges::stable_sort(numbered_, {}, &NumberedRule::number);
    return {};
  }

  Result<std::size_t> leaf_of(std::span<const NumberedRule> rules, std::uint32_t number) {
    if (rules[0].rule != nullptr && rules[0].rule->alternatives.empty()) return leaves_.add_answer(rules[0].rule->action);
    Collected collected{.answers = {.conditional = {}, .otherwise = context_.default_action}, .is_final = false};
    bool is_multiplexer = false;
    for (const NumberedRule& numbered : rules) {
      if (numbered.rule != nullptr) collected.add(*numbered.rule, arch_);
      is_multiplexer = is_multiplexer || numbered.rule == nullptr;
    }
    if (is_multiplexer && !collected.is_final) add_multiplexed(collected.answers, number);
    seccomp::Leaf code = TRY(seccomp::compile_answers(collected.answers));
    return leaves_.add(std::move(code));
  }

  void add_multiplexed(Answers& answers, std::uint32_t number) {
    std::set<std::uint32_t> done;
    for (const MultiplexedRule& entry : multiplexed_) {
      if (entry.to.number != number || !done.insert(entry.to.call).second) continue;
      const std::uint32_t action = blind_answer(entry.to);
      if (action == context_.default_action) continue;
      const Condition condition{.index = 0,
                                .comparison = seccomp::Comparison::kMaskedEqual,
                                .value = entry.to.mask,
                                .value_two = entry.to.call,
                                .low_half_only = true};
      add_conditional(answers, {{condition}, action});
    }
  }

  // The strictest that the rules for this call could answer, whatever its arguments are.
  std::uint32_t blind_answer(const Multiplexed& to) const {
    std::uint32_t strictest = context_.default_action;
    for (const MultiplexedRule& entry : multiplexed_) {
      if (entry.to.number != to.number || entry.to.call != to.call) continue;
      if (entry.rule->alternatives.empty()) return entry.rule->action;
      if (seccomp::is_stricter(entry.rule->action, strictest)) strictest = entry.rule->action;
    }
    return strictest;
  }

  const Context& context_;
  const SeccompArch& arch_;
  seccomp::Leaves& leaves_;
  std::vector<NumberedRule> numbered_;
  std::vector<MultiplexedRule> multiplexed_;
  std::optional<std::uint32_t> highest_;
};

// x86_64 and x32 share a value of seccomp_data.arch: where x32 is not listed, its numbers are those of another architecture.
void close_x32(std::vector<seccomp::CallRange>& ranges, seccomp::Leaves& leaves, std::uint32_t default_action) {
  seccomp::add_range(ranges, seccomp::kX32Bit, leaves.add_answer(SECCOMP_RET_KILL_THREAD));
  // What a tracer that skips a call leaves behind (seccomp(2), SECCOMP_RET_TRACE).
  seccomp::add_range(ranges, kLastNumber, leaves.add_answer(default_action));
}

Result<std::vector<ArchCalls>> compile_arches(const Context& context, std::span<const SeccompArch> arches,
                                              seccomp::Leaves& leaves) {
  std::vector<ArchCalls> all;
  for (const SeccompArch& arch : arches) {
    auto known = std::ranges::find(all, arch.audit_arch, &ArchCalls::audit_arch);
    if (known == all.end()) known = all.insert(all.end(), ArchCalls{.audit_arch = arch.audit_arch, .ranges = {}});
    TRY(ArchCompiler(context, arch, leaves).append_to(known->ranges));
  }
  const bool has_x32 = std::ranges::find(arches, seccomp::kX32Bit, &SeccompArch::first_number) != arches.end();
  if (arches[0].machine == seccomp::Arch::kX86_64 && !has_x32) close_x32(all[0].ranges, leaves, context.default_action);
  return all;
}

Result<std::vector<std::string>> check_names(const Seccomp& config, const SeccompArch& native, const SeccompOptions& options) {
  std::vector<std::string> unknown;
  std::set<std::string_view> seen;
  for (std::size_t i = 0; i < config.syscalls.size(); ++i) {
    const Syscall& call = config.syscalls[i];
    for (std::size_t j = 0; j < call.names.size(); ++j) {
      const std::string path = "linux.seccomp.syscalls[" + std::to_string(i) + "]";
      if (call.action == "SCMP_ACT_NOTIFY" && call.names[j] == "write")
        return fail(ErrorKind::kInvalid, path + ".action: SCMP_ACT_NOTIFY cannot be used for the write syscall");
      if (call_numbers(native, call.names[j]).status != NameStatus::kUnknown || !seen.insert(call.names[j]).second) continue;
      if (options.fail_unknown_syscall)
        return fail(ErrorKind::kInvalid,
                    path + ".names[" + std::to_string(j) + "]: unknown seccomp syscall " + shown(call.names[j]));
      unknown.push_back(call.names[j]);
    }
  }
  return unknown;
}

bool asks_listener(std::span<const SeccompRule> rules) {
  return std::ranges::find(rules, SECCOMP_RET_USER_NOTIF, &SeccompRule::action) != rules.end();
}

}  // namespace

Result<SeccompPrograms> compile_seccomp(const Seccomp& config, const SeccompOptions& options) {
  SeccompPrograms result;
  if (config.default_action.empty() && config.syscalls.empty()) return result;  // none asked for, as runc reads it
  const std::uint32_t default_action =
      TRY(seccomp_action(config.default_action, config.default_errno_ret, "linux.seccomp.defaultAction"));
  if (default_action == SECCOMP_RET_USER_NOTIF)
    return fail(ErrorKind::kInvalid, "linux.seccomp.defaultAction: SCMP_ACT_NOTIFY cannot be used as default action");
  const unsigned flags = TRY(seccomp_flags(config, options.kernel_flags));
  const std::vector<SeccompArch> arches = TRY(listed_arches(config.architectures, options.native));
  const std::vector<SeccompRule> rules = TRY(seccomp_rules(config));
  result.unknown_syscalls = TRY(check_names(config, arches[0], options));

  const Context context{.rules = rules, .default_action = default_action, .new_calls_answer_enosys = refuses(default_action)};
  seccomp::Leaves leaves;
  const std::vector<ArchCalls> calls = TRY(compile_arches(context, arches, leaves));
  const std::size_t other_arch = leaves.add_answer(SECCOMP_RET_KILL_THREAD);
  const CallNumbers seccomp_call = call_numbers(arches[0], "seccomp");
  result.programs = TRY(write_programs({calls, leaves, other_arch, seccomp_call.direct.value_or(0)}));

  result.flags = flags & ~(unsigned{SECCOMP_FILTER_FLAG_TSYNC} | kSeccompListenerFlags);
  result.notify = asks_listener(rules);
  if (result.notify) result.listener_flags = SECCOMP_FILTER_FLAG_NEW_LISTENER | (flags & kSeccompListenerFlags);
  return result;
}

}  // namespace clawrun::oci
