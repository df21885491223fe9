#include "seccomp/profile.h"

#include <linux/seccomp.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <span>

#include "base/text.h"

namespace clawrun::seccomp {

namespace {

using Json = nlohmann::json;

// Nothing in the format nests deeper than five levels; the limit keeps a hostile file from costing memory.
constexpr int kMaxDepth = 16;
constexpr std::uint32_t kMaxErrno = 4095;  // MAX_ERRNO: what the kernel lets a filter return
constexpr std::uint32_t kDefaultErrno = EPERM;

template <typename Value>
struct Word {
  std::string_view name;
  Value value;
};

constexpr Word<std::uint32_t> kActions[] = {
    {"SCMP_ACT_ALLOW", SECCOMP_RET_ALLOW},
    {"SCMP_ACT_ERRNO", SECCOMP_RET_ERRNO},
    {"SCMP_ACT_LOG", SECCOMP_RET_LOG},
    {"SCMP_ACT_TRAP", SECCOMP_RET_TRAP},
    {"SCMP_ACT_KILL", SECCOMP_RET_KILL_THREAD},
    {"SCMP_ACT_KILL_THREAD", SECCOMP_RET_KILL_THREAD},
    {"SCMP_ACT_KILL_PROCESS", SECCOMP_RET_KILL_PROCESS},
    {"SCMP_ACT_NOTIFY", SECCOMP_RET_USER_NOTIF},
    {"SCMP_ACT_TRACE", SECCOMP_RET_TRACE},
};

constexpr Word<Comparison> kComparisons[] = {
    {"SCMP_CMP_NE", Comparison::kNotEqual},           {"SCMP_CMP_LT", Comparison::kLess},
    {"SCMP_CMP_LE", Comparison::kLessOrEqual},        {"SCMP_CMP_EQ", Comparison::kEqual},
    {"SCMP_CMP_GE", Comparison::kGreaterOrEqual},     {"SCMP_CMP_GT", Comparison::kGreater},
    {"SCMP_CMP_MASKED_EQ", Comparison::kMaskedEqual},
};

constexpr Word<unsigned> kFlags[] = {
    {"SECCOMP_FILTER_FLAG_TSYNC", SECCOMP_FILTER_FLAG_TSYNC},
    {"SECCOMP_FILTER_FLAG_LOG", SECCOMP_FILTER_FLAG_LOG},
    {"SECCOMP_FILTER_FLAG_SPEC_ALLOW", SECCOMP_FILTER_FLAG_SPEC_ALLOW},
};

constexpr Word<bool> kArchitectures[] = {
    {"SCMP_ARCH_X86_64", true},      {"SCMP_ARCH_AARCH64", true}, {"SCMP_ARCH_NATIVE", true},   {"SCMP_ARCH_X86", true},
    {"SCMP_ARCH_X32", true},         {"SCMP_ARCH_ARM", true},     {"SCMP_ARCH_MIPS", true},     {"SCMP_ARCH_MIPS64", true},
    {"SCMP_ARCH_MIPS64N32", true},   {"SCMP_ARCH_MIPSEL", true},  {"SCMP_ARCH_MIPSEL64", true}, {"SCMP_ARCH_MIPSEL64N32", true},
    {"SCMP_ARCH_PPC", true},         {"SCMP_ARCH_PPC64", true},   {"SCMP_ARCH_PPC64LE", true},  {"SCMP_ARCH_S390", true},
    {"SCMP_ARCH_S390X", true},       {"SCMP_ARCH_RISCV64", true}, {"SCMP_ARCH_PARISC", true},   {"SCMP_ARCH_PARISC64", true},
    {"SCMP_ARCH_LOONGARCH64", true}, {"SCMP_ARCH_M68K", true},    {"SCMP_ARCH_SH", true},       {"SCMP_ARCH_SHEB", true},
};

constexpr std::string_view kProfileKeys[] = {"comment", "defaultAction", "defaultErrnoRet", "defaultErrno",
                                             "archMap", "architectures", "flags",           "syscalls"};
constexpr std::string_view kRuleKeys[] = {"comment", "names", "action", "errnoRet", "errno", "args", "includes", "excludes"};
constexpr std::string_view kConditionKeys[] = {"comment", "index", "value", "valueTwo", "op"};
constexpr std::string_view kScopeKeys[] = {"arches", "caps", "minKernel"};
constexpr std::string_view kArchMapKeys[] = {"architecture", "subArchitectures"};

Failure invalid(const std::string& path, std::string_view what) {
  return fail(ErrorKind::kInvalid, path.empty() ? std::string(what) : path + ": " + std::string(what));
}

std::string member(const std::string& path, std::string_view key) {
  return path.empty() ? std::string(key) : path + "." + std::string(key);
}

std::string element(const std::string& path, std::size_t i) {
  return path + "[" + std::to_string(i) + "]";
}

template <typename Value, std::size_t kCount>
Result<Value> look_up(const Word<Value> (&words)[kCount], const std::string& path, std::string_view name, std::string_view noun) {
  for (const auto& word : words)
    if (word.name == name) return word.value;
  std::array<std::string_view, kCount> names;
  std::ranges::transform(words, names.begin(), [](const auto& word) { return word.name; });
  return invalid(path, clawrun::quoted(name) + " is not " + std::string(noun) + did_you_mean(name, names));
}

Result<> expect_object(const Json& json, const std::string& path, std::span<const std::string_view> keys) {
  if (!json.is_object()) return invalid(path, "must be an object");
  for (const auto& [key, value] : json.items())
    if (std::ranges::find(keys, key) == keys.end())
      return invalid(path, "unknown key " + clawrun::quoted(key) + did_you_mean(key, keys));
  return {};
}

// The member, or null where it is absent or the literal null, which encoders of optional fields write.
const Json* find(const Json& object, const char* key) {
  const auto it = object.find(key);
  return it == object.end() || it->is_null() ? nullptr : &*it;
}

Result<std::string> text_of(const Json& json, const std::string& path) {
  if (!json.is_string()) return invalid(path, "must be a string");
  return json.get<std::string>();
}

Result<std::uint64_t> number_of(const Json& json, const std::string& path, std::uint64_t max) {
  if (!json.is_number_unsigned()) return invalid(path, "must be a whole number that is not negative");
  const auto value = json.get<std::uint64_t>();
  if (value > max)
    return invalid(path, std::to_string(value) + " is more than the largest allowed value, " + std::to_string(max));
  return value;
}

Result<std::vector<std::string>> texts_of(const Json& json, const std::string& path) {
  if (!json.is_array()) return invalid(path, "must be an array of strings");
  std::vector<std::string> texts;
  for (std::size_t i = 0; i < json.size(); ++i) {
    std::string text = TRY(text_of(json[i], element(path, i)));
    texts.push_back(std::move(text));
  }
  return texts;
}

Result<std::uint32_t> errno_by_name(const Json& json, const std::string& path) {
  const std::string name = TRY(text_of(json, path));
  for (int value = 1; value < 256; ++value) {
    const char* known = strerrorname_np(value);
    if (known != nullptr && name == known) return static_cast<std::uint32_t>(value);
  }
  return invalid(path, clawrun::quoted(name) + " is not the name of an errno value, such as \"EPERM\"");
}

struct ActionKeys {
  const char* action;
  const char* number;
  const char* name;
};

// `errno` by name is Podman's addition to the format; it wins there over the number, which is for older readers.
Result<std::uint32_t> parse_action(const Json& object, const std::string& path, const ActionKeys& keys) {
  const std::string action_path = member(path, keys.action);
  const Json* action_json = find(object, keys.action);
  if (action_json == nullptr) return invalid(action_path, "is missing; it must be an action such as \"SCMP_ACT_ERRNO\"");
  const std::string name = TRY(text_of(*action_json, action_path));
  const std::uint32_t action = TRY(look_up(kActions, action_path, name, "an action"));
  if (action == SECCOMP_RET_USER_NOTIF)
    return invalid(
        action_path,
        "SCMP_ACT_NOTIFY needs a supervisor that answers each call, which no profile brings along; use SCMP_ACT_ERRNO");
  if (action == SECCOMP_RET_TRACE)
    return invalid(action_path, "SCMP_ACT_TRACE needs a tracer, and none is attached to a sandbox; use SCMP_ACT_ERRNO");
  std::optional<std::uint64_t> errno_value;
  if (const Json* number = find(object, keys.number); number != nullptr)
    errno_value = TRY(number_of(*number, member(path, keys.number), kMaxErrno));
  const Json* errno_name = find(object, keys.name);
  if (errno_name != nullptr && *errno_name != "") errno_value = TRY(errno_by_name(*errno_name, member(path, keys.name)));
  if (action == SECCOMP_RET_ERRNO) return action | static_cast<std::uint32_t>(errno_value.value_or(kDefaultErrno));
  if (errno_value) return invalid(member(path, keys.number), "goes with SCMP_ACT_ERRNO only, not with " + name);
  return action;
}

Result<Condition> parse_condition(const Json& json, const std::string& path) {
  TRY(expect_object(json, path, kConditionKeys));
  for (const char* key : {"index", "value", "op"})
    if (find(json, key) == nullptr) return invalid(member(path, key), "is missing");
  Condition condition;
  const std::uint64_t index = TRY(number_of(json["index"], member(path, "index"), 5));
  condition.index = static_cast<unsigned>(index);
  condition.value = TRY(number_of(json["value"], member(path, "value"), UINT64_MAX));
  if (const Json* two = find(json, "valueTwo"); two != nullptr)
    condition.value_two = TRY(number_of(*two, member(path, "valueTwo"), UINT64_MAX));
  const std::string op = TRY(text_of(json["op"], member(path, "op")));
  condition.comparison = TRY(look_up(kComparisons, member(path, "op"), op, "an operator"));
  if (condition.comparison == Comparison::kMaskedEqual && (condition.value_two & ~condition.value) != 0)
    return invalid(member(path, "valueTwo"), "has bits outside the mask in \"value\": the comparison could never hold");
  return condition;
}

Result<> parse_min_kernel(const Json& json, const std::string& path, Scope& scope) {
  const std::string text = TRY(text_of(json, path));
  if (text.empty()) return {};
  const auto parts = split(text, '.');
  const auto major = parse_unsigned(parts[0], 1000);
  const auto minor = parts.size() == 2 ? parse_unsigned(parts[1], 1000) : fail(ErrorKind::kInvalid, "");
  if (!major || !minor || *major == 0) return invalid(path, clawrun::quoted(text) + " is not a kernel version such as \"4.8\"");
  scope.kernel_major = static_cast<unsigned>(*major);
  scope.kernel_minor = static_cast<unsigned>(*minor);
  return {};
}

Result<Scope> parse_scope(const Json& rule, const std::string& rule_path, const char* key) {
  Scope scope;
  const Json* json = find(rule, key);
  if (json == nullptr) return scope;
  const std::string path = member(rule_path, key);
  TRY(expect_object(*json, path, kScopeKeys));
  if (const Json* arches = find(*json, "arches"); arches != nullptr)
    scope.arches = TRY(texts_of(*arches, member(path, "arches")));
  if (const Json* caps = find(*json, "caps"); caps != nullptr) scope.caps = TRY(texts_of(*caps, member(path, "caps")));
  if (const Json* kernel = find(*json, "minKernel"); kernel != nullptr)
    TRY(parse_min_kernel(*kernel, member(path, "minKernel"), scope));
  return scope;
}

Result<Rule> parse_rule(const Json& json, const std::string& path) {
  TRY(expect_object(json, path, kRuleKeys));
  Rule rule;
  const Json* names = find(json, "names");
  if (names == nullptr) return invalid(member(path, "names"), "is missing; it must be an array of syscall names");
  rule.names = TRY(texts_of(*names, member(path, "names")));
  if (rule.names.empty()) return invalid(member(path, "names"), "is empty; a rule must name a syscall");
  rule.action = TRY(parse_action(json, path, {"action", "errnoRet", "errno"}));
  if (const Json* comment = find(json, "comment"); comment != nullptr)
    rule.comment = TRY(text_of(*comment, member(path, "comment")));
  if (const Json* args = find(json, "args"); args != nullptr) {
    const std::string args_path = member(path, "args");
    if (!args->is_array()) return invalid(args_path, "must be an array of comparisons");
    if (args->size() > 64) return invalid(args_path, "more than 64 comparisons");
    for (std::size_t i = 0; i < args->size(); ++i) {
      const Condition condition = TRY(parse_condition((*args)[i], element(args_path, i)));
      rule.conditions.push_back(condition);
    }
  }
  rule.includes = TRY(parse_scope(json, path, "includes"));
  rule.excludes = TRY(parse_scope(json, path, "excludes"));
  return rule;
}

// The filter is always built for the one architecture of this machine, whatever else the profile lists: only the names are
// checked, so that a typing mistake does not go unseen.
Result<> check_architectures(const Json& root) {
  const auto check = [](const Json& json, const std::string& path) -> Result<> {
    const std::vector<std::string> names = TRY(texts_of(json, path));
    for (std::size_t i = 0; i < names.size(); ++i) TRY(look_up(kArchitectures, element(path, i), names[i], "an architecture"));
    return {};
  };
  if (const Json* list = find(root, "architectures"); list != nullptr) TRY(check(*list, "architectures"));
  const Json* map = find(root, "archMap");
  if (map == nullptr) return {};
  if (!map->is_array()) return invalid("archMap", "must be an array of objects");
  for (std::size_t i = 0; i < map->size(); ++i) {
    const std::string path = element("archMap", i);
    const Json& entry = (*map)[i];
    TRY(expect_object(entry, path, kArchMapKeys));
    const Json* name = find(entry, "architecture");
    if (name == nullptr) return invalid(member(path, "architecture"), "is missing");
    TRY(check(Json::array({*name}), member(path, "architecture")));
    if (const Json* sub = find(entry, "subArchitectures"); sub != nullptr) TRY(check(*sub, member(path, "subArchitectures")));
  }
  return {};
}

Result<Profile> parse_root(const Json& root) {
  for (const char* key : {"listenerPath", "listenerMetadata"})
    if (root.is_object() && find(root, key) != nullptr)
      return invalid(key, "is not supported: no call is handed to a listener, because SCMP_ACT_NOTIFY is not supported");
  TRY(expect_object(root, "", kProfileKeys));
  Profile profile;
  if (const Json* comment = find(root, "comment"); comment != nullptr) profile.comment = TRY(text_of(*comment, "comment"));
  profile.default_action = TRY(parse_action(root, "", {"defaultAction", "defaultErrnoRet", "defaultErrno"}));
  TRY(check_architectures(root));
  if (const Json* flags = find(root, "flags"); flags != nullptr) {
    const std::vector<std::string> names = TRY(texts_of(*flags, "flags"));
    for (std::size_t i = 0; i < names.size(); ++i) profile.flags |= TRY(look_up(kFlags, element("flags", i), names[i], "a flag"));
  }
  const Json* rules = find(root, "syscalls");
  if (rules == nullptr) return profile;
  if (!rules->is_array()) return invalid("syscalls", "must be an array of objects");
  for (std::size_t i = 0; i < rules->size(); ++i) {
    Rule rule = TRY(parse_rule((*rules)[i], element("syscalls", i)));
    profile.rules.push_back(std::move(rule));
  }
  return profile;
}

// Before anything is built of it: the parser itself would follow any depth.
bool is_too_deep(std::string_view json) {
  int depth = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < json.size(); ++i) {
    const char c = json[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      if (++depth > kMaxDepth) return true;
    } else if (c == ']' || c == '}') {
      --depth;
    }
  }
  return false;
}

// The parser keeps the last of two equal keys and says nothing, so that a reader and the filter could see different profiles.
class DuplicateKeys {
 public:
  bool operator()(int depth, Json::parse_event_t event, const Json& parsed) {
    const auto level = static_cast<std::size_t>(depth);
    if (event == Json::parse_event_t::object_start) {
      keys_.resize(level + 2);
      keys_[level + 1].clear();
    } else if (event == Json::parse_event_t::key && first_.empty() && level < keys_.size()) {
      if (!keys_[level].insert(parsed.get<std::string>()).second) first_ = parsed.get<std::string>();
    }
    return true;
  }
  [[nodiscard]] const std::string& first() const { return first_; }

 private:
  std::vector<std::set<std::string>> keys_;
  std::string first_;
};

}  // namespace

Result<Profile> parse_profile(std::string_view json) {
  if (json.size() > kMaxProfileBytes)
    return fail(ErrorKind::kInvalid, "the seccomp profile is larger than " + format_size(kMaxProfileBytes));
  if (is_too_deep(json))
    return fail(ErrorKind::kInvalid, "the seccomp profile nests deeper than " + std::to_string(kMaxDepth) + " levels");
  try {
    DuplicateKeys duplicates;
    const Json root = Json::parse(
        json, [&](int depth, Json::parse_event_t event, const Json& parsed) { return duplicates(depth, event, parsed); });
    if (!duplicates.first().empty())
      return fail(ErrorKind::kInvalid, "the key " + clawrun::quoted(duplicates.first()) + " stands twice in one object");
    return parse_root(root);
  } catch (const Json::parse_error& error) {
    return fail(ErrorKind::kInvalid, "not JSON: a mistake at byte " + std::to_string(error.byte));
  } catch (const Json::exception&) {
    return fail(ErrorKind::kInvalid, "not a seccomp profile: a value has the wrong type");
  }
}

std::string describe_action(std::uint32_t action) {
  switch (action & SECCOMP_RET_ACTION_FULL) {
    case SECCOMP_RET_ALLOW:
      return "allow";
    case SECCOMP_RET_LOG:
      return "allow and log";
    case SECCOMP_RET_TRAP:
      return "trap (SIGSYS)";
    case SECCOMP_RET_KILL_THREAD:
      return "kill thread";
    case SECCOMP_RET_KILL_PROCESS:
      return "kill process";
    case SECCOMP_RET_ERRNO: {
      const auto value = static_cast<int>(action & SECCOMP_RET_DATA);
      const char* name = strerrorname_np(value);
      return "errno " + (name != nullptr ? std::string(name) : std::to_string(value));
    }
    default:
      return "unknown action " + std::to_string(action);
  }
}

std::string describe_condition(const Condition& condition) {
  const auto hex = [](std::uint64_t value) {
    constexpr std::string_view kDigits = "0123456789abcdef";
    std::string digits;
    do {
      digits.insert(digits.begin(), kDigits[value & 15U]);
      value >>= 4U;
    } while (value != 0);
    return "0x" + digits;
  };
  const std::string argument = "arg" + std::to_string(condition.index);
  if (condition.comparison == Comparison::kMaskedEqual)
    return argument + " & " + hex(condition.value) + " == " + hex(condition.value_two);
  constexpr std::string_view kSigns[] = {" != ", " < ", " <= ", " == ", " >= ", " > "};
  return argument + std::string(kSigns[static_cast<std::size_t>(condition.comparison)]) + hex(condition.value);
}

}  // namespace clawrun::seccomp
