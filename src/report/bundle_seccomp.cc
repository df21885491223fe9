#include "report/bundle_seccomp.h"

#include <fcntl.h>
#include <linux/seccomp.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <map>
#include <nlohmann/json.hpp>

#include "seccomp/adjust.h"

namespace clawrun::report {

namespace {

using Json = nlohmann::ordered_json;
using seccomp::Answers;
using seccomp::Comparison;
using seccomp::Condition;
using Boxes = std::vector<ArgumentBox>;

constexpr unsigned kBits = 64;
constexpr std::uint64_t kAll = UINT64_MAX;
// Of one call. The profiles of the field need some dozens; far more is a filter that no runtime would take.
constexpr std::size_t kMaxBoxes = 2048;

// ---- boxes ----

struct Masked {
  std::uint64_t mask = 0;
  std::uint64_t value = 0;
};

constexpr std::uint64_t above(unsigned bit) {
  return bit + 1 == kBits ? 0 : kAll << (bit + 1);
}

// Numbers below `limit`: those that agree with it down to one of its set bits, which they lack.
std::vector<Masked> less_than(std::uint64_t limit) {
  std::vector<Masked> parts;
  for (unsigned bit = 0; bit < kBits; ++bit)
    if ((limit >> bit & 1U) != 0) parts.push_back({above(bit) | 1ULL << bit, limit & above(bit)});
  return parts;
}

// Numbers above `limit`: likewise, with a bit that it lacks.
std::vector<Masked> greater_than(std::uint64_t limit) {
  std::vector<Masked> parts;
  for (unsigned bit = 0; bit < kBits; ++bit)
    if ((limit >> bit & 1U) == 0) parts.push_back({above(bit) | 1ULL << bit, (limit & above(bit)) | 1ULL << bit});
  return parts;
}

std::vector<Masked> parts_of(const Condition& condition) {
  std::vector<Masked> parts;
  const Masked equal{kAll, condition.value};
  switch (condition.comparison) {
    case Comparison::kEqual:
      return {equal};
    case Comparison::kMaskedEqual:
      return {{condition.value, condition.value_two}};
    case Comparison::kLessOrEqual:
      parts.push_back(equal);
      [[fallthrough]];
    case Comparison::kLess:
      std::ranges::copy(less_than(condition.value), std::back_inserter(parts));
      return parts;
    case Comparison::kGreaterOrEqual:
      parts.push_back(equal);
      [[fallthrough]];
    case Comparison::kGreater:
      std::ranges::copy(greater_than(condition.value), std::back_inserter(parts));
      return parts;
    case Comparison::kNotEqual:
      std::ranges::copy(less_than(condition.value), std::back_inserter(parts));
      std::ranges::copy(greater_than(condition.value), std::back_inserter(parts));
      return parts;
  }
  return parts;
}

bool overlap(const ArgumentBox& a, const ArgumentBox& b) {
  for (std::size_t i = 0; i < a.mask.size(); ++i)
    if (((a.value[i] ^ b.value[i]) & a.mask[i] & b.mask[i]) != 0) return false;
  return true;
}

ArgumentBox intersection(const ArgumentBox& a, const ArgumentBox& b) {
  ArgumentBox both;
  for (std::size_t i = 0; i < a.mask.size(); ++i) {
    both.mask[i] = a.mask[i] | b.mask[i];
    both.value[i] = a.value[i] | b.value[i];
  }
  return both;
}

// What is in `from` and not in `hole`, in parts that do not overlap: bit by bit, what differs from it first in this bit.
void subtract(ArgumentBox from, const ArgumentBox& hole, Boxes& into) {
  if (!overlap(from, hole)) {
    into.push_back(from);
    return;
  }
  for (std::size_t i = 0; i < from.mask.size(); ++i) {
    for (std::uint64_t left = hole.mask[i] & ~from.mask[i]; left != 0;) {
      const std::uint64_t bit = std::bit_floor(left);
      left &= ~bit;
      from.mask[i] |= bit;
      ArgumentBox part = from;
      part.value[i] |= ~hole.value[i] & bit;
      into.push_back(part);
      from.value[i] |= hole.value[i] & bit;
    }
  }
}

Failure too_many() {
  return fail(ErrorKind::kUnsupported,
              "--emit-bundle: the filter compares arguments in a way that linux.seccomp cannot say; choose another --seccomp");
}

Result<Boxes> boxes_where(const std::vector<Condition>& conditions) {
  Boxes boxes{{}};
  for (const Condition& condition : conditions) {
    Boxes next;
    for (const Masked& part : parts_of(condition)) {
      ArgumentBox one;
      one.mask[condition.index] = part.mask;
      one.value[condition.index] = part.value;
      for (const ArgumentBox& box : boxes)
        if (overlap(box, one)) next.push_back(intersection(box, one));
      if (next.size() > kMaxBoxes) return too_many();
    }
    boxes = std::move(next);
  }
  return boxes;
}

}  // namespace

// As promised_answer() reads them: the first that holds counts.
Result<std::vector<BoxedAnswer>> boxes_of(const Answers& answers, std::uint32_t default_action) {
  std::vector<BoxedAnswer> result;
  Boxes left{{}};
  for (const seccomp::ConditionalAnswer& answer : answers.conditional) {
    const Boxes holes = TRY(boxes_where(answer.conditions));
    for (const ArgumentBox& hole : holes) {
      Boxes rest;
      for (const ArgumentBox& box : left) {
        if (overlap(box, hole) && answer.action != default_action) result.push_back({intersection(box, hole), answer.action});
        subtract(box, hole, rest);
      }
      left = std::move(rest);
      if (left.size() + result.size() > kMaxBoxes) return too_many();
    }
  }
  if (answers.otherwise != default_action)
    for (const ArgumentBox& box : left) result.push_back({box, answers.otherwise});
  return result;
}

namespace {

// ---- the filters of a plan as one table ----

bool same(const std::vector<sock_filter>& a, const std::vector<sock_filter>& b) {
  return std::ranges::equal(a, b, [](const sock_filter& x, const sock_filter& y) {
    return x.code == y.code && x.jt == y.jt && x.jf == y.jf && x.k == y.k;
  });
}

bool has_filter(const plan::Plan& plan, const std::vector<sock_filter>& wanted) {
  return std::ranges::any_of(plan.filters, [&](const auto& filter) { return same(filter, wanted); });
}

Answers& answers_of(seccomp::Table& table, int number) {
  return table.by_number.try_emplace(number, Answers{.conditional = {}, .otherwise = table.default_action}).first->second;
}

// Only what would be let through is refused: an errno of the profile's own stays.
void refuse(Answers& answers, std::vector<Condition> conditions, std::uint32_t action) {
  const auto first_allowed = std::ranges::find_if(
      answers.conditional, [](const auto& answer) { return !seccomp::is_stricter(answer.action, SECCOMP_RET_ALLOW); });
  if (answers.otherwise == SECCOMP_RET_ALLOW || first_allowed != answers.conditional.end())
    answers.conditional.insert(first_allowed, {std::move(conditions), action});
}

// seccomp::refuse_set_id_files() as answers.
void refuse_set_id_files(seccomp::Table& table) {
  constexpr std::uint64_t kMakes[] = {O_CREAT, O_TMPFILE & ~O_DIRECTORY};
  constexpr std::uint64_t kSetId[] = {02000, 04000};
  constexpr std::uint32_t kRefused = SECCOMP_RET_ERRNO | EPERM;
  for (const seccomp::SetIdCall& call : seccomp::set_id_calls()) {
    const seccomp::NameLookup found = seccomp::syscall_number(table.arch, call.name);
    if (found.status != seccomp::NameStatus::kKnown) continue;
    Answers& answers = answers_of(table, found.number);
    const auto bit = [](int index, std::uint64_t value) {
      return Condition{.index = static_cast<unsigned>(index),
                       .comparison = Comparison::kMaskedEqual,
                       .value = value,
                       .value_two = value,
                       .low_half_only = false};
    };
    for (const std::uint64_t set_id : kSetId) {
      const Condition mode = bit(static_cast<int>(call.mode), set_id);
      if (call.flags < 0) {
        refuse(answers, {mode}, kRefused);
        continue;
      }
      for (const std::uint64_t makes : kMakes) refuse(answers, {bit(call.flags, makes), mode}, kRefused);
    }
  }
  for (const char* name : seccomp::kSetIdInMemory)
    refuse(answers_of(table, seccomp::syscall_number(table.arch, name).number), {}, SECCOMP_RET_ERRNO | ENOSYS);
}

// A runtime's own execve of the command passes the filter too, and knows no secret that would tell it from the command's.
bool open_start_cookie(seccomp::Table& table) {
  bool opened = false;
  for (const char* name : {"execve", "execveat"}) {
    const auto found = table.by_number.find(seccomp::syscall_number(table.arch, name).number);
    if (found == table.by_number.end()) continue;
    for (seccomp::ConditionalAnswer& answer : found->second.conditional)
      opened = opened || std::erase_if(answer.conditions, [](const Condition& condition) {
                           return condition.value == seccomp::kStartCookiePlaceholder;
                         }) != 0;
  }
  return opened;
}

// ---- in JSON ----

struct ActionRow {
  std::uint32_t action;
  const char* word;
};

constexpr ActionRow kActions[] = {{SECCOMP_RET_ALLOW, "SCMP_ACT_ALLOW"},
                                  {SECCOMP_RET_LOG, "SCMP_ACT_LOG"},
                                  {SECCOMP_RET_ERRNO, "SCMP_ACT_ERRNO"},
                                  {SECCOMP_RET_TRAP, "SCMP_ACT_TRAP"},
                                  {SECCOMP_RET_KILL_THREAD, "SCMP_ACT_KILL_THREAD"},
                                  {SECCOMP_RET_KILL_PROCESS, "SCMP_ACT_KILL_PROCESS"}};

struct FlagRow {
  unsigned flag;
  const char* word;
};

constexpr FlagRow kFlags[] = {{SECCOMP_FILTER_FLAG_TSYNC, "SECCOMP_FILTER_FLAG_TSYNC"},
                              {SECCOMP_FILTER_FLAG_LOG, "SECCOMP_FILTER_FLAG_LOG"},
                              {SECCOMP_FILTER_FLAG_SPEC_ALLOW, "SECCOMP_FILTER_FLAG_SPEC_ALLOW"}};

void put_action(Json& json, const char* key, const char* errno_key, std::uint32_t action) {
  const std::uint32_t kind = action & SECCOMP_RET_ACTION_FULL;
  json[key] = std::ranges::find(kActions, kind, &ActionRow::action)->word;
  if (kind == SECCOMP_RET_ERRNO) json[errno_key] = action & SECCOMP_RET_DATA;
}

Json arguments_json(const ArgumentBox& box) {
  Json list = Json::array();
  for (std::size_t i = 0; i < box.mask.size(); ++i) {
    if (box.mask[i] == 0) continue;
    if (box.mask[i] == kAll)
      list.push_back({{"index", i}, {"value", box.value[i]}, {"op", "SCMP_CMP_EQ"}});
    else
      list.push_back({{"index", i}, {"value", box.mask[i]}, {"valueTwo", box.value[i]}, {"op", "SCMP_CMP_MASKED_EQ"}});
  }
  return list;
}

Result<Json> rules_json(const seccomp::Table& table) {
  // Calls that are answered alike share their rules.
  std::map<std::vector<BoxedAnswer>, std::vector<std::string>> calls;
  for (const auto& [number, answers] : table.by_number) {
    std::vector<BoxedAnswer> boxes = TRY(boxes_of(answers, table.default_action));
    if (!boxes.empty()) calls[std::move(boxes)].push_back(seccomp::syscall_name(table.arch, number));
  }
  Json rules = Json::array();
  for (const auto& [boxes, names] : calls) {
    for (const BoxedAnswer& boxed : boxes) {
      Json rule{{"names", names}};
      put_action(rule, "action", "errnoRet", boxed.action);
      if (Json arguments = arguments_json(boxed.box); !arguments.empty()) rule["args"] = std::move(arguments);
      rules.push_back(std::move(rule));
    }
  }
  return rules;
}

}  // namespace

Result<std::string> seccomp_json(const plan::Plan& plan, const std::optional<seccomp::Table>& profile,
                                 std::vector<std::string>& not_expressed) {
  const bool no_set_id = has_filter(plan, seccomp::refuse_set_id_files());
  if (!profile && !no_set_id) return std::string();
  seccomp::Table table = profile.value_or(seccomp::Table{
      .arch = seccomp::kNativeArch, .default_action = SECCOMP_RET_ALLOW, .flags = 0, .by_number = {}, .unknown_syscalls = {}});
  if (open_start_cookie(table))
    not_expressed.push_back("--seccomp " + plan.seccomp_name +
                            " lets only the start itself execute a program; here every execve that files and modes allow passes");
  if (no_set_id) refuse_set_id_files(table);
  not_expressed.emplace_back(
      "a system call by the entry of another architecture answers as on a kernel without it; here it ends the thread");
  Json json;
  put_action(json, "defaultAction", "defaultErrnoRet", table.default_action);
  json["architectures"] = Json::array({table.arch == seccomp::Arch::kX86_64 ? "SCMP_ARCH_X86_64" : "SCMP_ARCH_AARCH64"});
  json["flags"] = Json::array();
  for (const FlagRow& row : kFlags)
    if ((table.flags & row.flag) != 0) json["flags"].push_back(row.word);
  json["syscalls"] = TRY(rules_json(table));
  return json.dump();
}

}  // namespace clawrun::report
