#include "cli/seccomp_verb.h"

#include <fcntl.h>
#include <linux/seccomp.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <vector>

#include "base/text.h"
#include "base/unique_fd.h"
#include "cli/output.h"
#include "seccomp/builtin.h"
#include "seccomp/cache.h"
#include "seccomp/compile.h"
#include "seccomp/interpret.h"
#include "sys/sys.h"

namespace clawrun::cli {

namespace {

using seccomp::BuiltinProfile;
using seccomp::Compiled;
using seccomp::Profile;
using seccomp::Table;
using Words = std::vector<std::string_view>;

constexpr int kAllowed = 0;
constexpr int kRefused = 1;

// The JSON behind a name or a file, and what it says.
struct Loaded {
  std::string json;
  Profile profile;
};

Result<Loaded> load_json(std::string_view name_or_file) {
  Loaded loaded;
  if (const BuiltinProfile* builtin = seccomp::find_builtin(name_or_file); builtin != nullptr) {
    loaded.json = builtin->json;
  } else if (seccomp::is_profile_file(name_or_file)) {
    loaded.json = TRY(seccomp::read_profile_file(std::string(name_or_file)));
  } else {
    return seccomp::unknown_profile(name_or_file);
  }
  auto profile = seccomp::parse_profile(loaded.json);
  if (!profile) return while_doing("seccomp profile " + quoted(name_or_file), std::move(profile).error());
  loaded.profile = std::move(*profile);
  return loaded;
}

std::string padded(std::string text, std::size_t width) {
  if (text.size() < width) text.resize(width, ' ');
  return text;
}

// The words of a verb apart from its options: `--output FILE`, `--output=FILE`, `--table`.
struct Parsed {
  Words words;
  std::optional<std::string_view> output;
  bool table = false;
};

struct Allowed {
  std::string_view usage;
  std::size_t min_words;
  std::size_t max_words;
  bool output = false;
  bool table = false;
};

Failure usage_error(std::string message, const Allowed& allowed) {
  return fail(ErrorKind::kUsage, std::move(message) + " (usage: clawrun seccomp " + std::string(allowed.usage) + ")");
}

Result<Parsed> parse_words(std::span<char* const> args, const Allowed& allowed) {
  Parsed parsed;
  Words known;
  if (allowed.output) known.push_back("--output");
  if (allowed.table) known.push_back("--table");
  for (std::size_t i = 0; i < args.size(); ++i) {
    const std::string_view word = args[i];
    if (allowed.table && word == "--table") {
      parsed.table = true;
    } else if (allowed.output && word.starts_with("--output=")) {
      parsed.output = word.substr(std::string_view("--output=").size());
    } else if (allowed.output && word == "--output") {
      if (++i == args.size()) return usage_error("--output needs the name of a file", allowed);
      parsed.output = args[i];
    } else if (word.starts_with("-") && word != "-") {
      return usage_error("unknown option " + quoted(word) + did_you_mean(word.substr(0, word.find('=')), known), allowed);
    } else {
      parsed.words.push_back(word);
    }
  }
  if (parsed.words.size() < allowed.min_words) return usage_error("a word is missing", allowed);
  if (parsed.words.size() > allowed.max_words)
    return usage_error("one word too many: " + quoted(parsed.words[allowed.max_words]), allowed);
  return parsed;
}

// The first sentence of the profile's comment.
std::string first_sentence(const std::string& comment) {
  return comment.substr(0, comment.find(". ") + 1);
}

Result<int> list(std::span<char* const> args) {
  TRY(parse_words(args, {.usage = "list", .min_words = 0, .max_words = 0}));
  std::string text;
  for (const BuiltinProfile& builtin : seccomp::builtin_profiles()) {
    const Profile profile = TRY(seccomp::parse_profile(builtin.json));
    text += padded(std::string(builtin.name), 18) + first_sentence(profile.comment) + " " +
            std::to_string(instruction_count(seccomp::to_compiled(builtin))) + " instructions.\n";
  }
  TRY(write_out(text));
  return 0;
}

std::string answers_text(const seccomp::Answers& answers) {
  std::string text;
  for (const seccomp::ConditionalAnswer& answer : answers.conditional) {
    text += seccomp::describe_action(answer.action) + " when ";
    for (std::size_t i = 0; i < answer.conditions.size(); ++i)
      text += std::string(i == 0 ? "" : " and ") + seccomp::describe_condition(answer.conditions[i]);
    text += "; ";
  }
  return text + (text.empty() ? "" : "otherwise ") + seccomp::describe_action(answers.otherwise);
}

std::string table_text(const Table& table) {
  std::string text;
  for (const auto& [number, answers] : table.by_number) {
    const std::string digits = std::to_string(number);
    text += std::string(digits.size() < 4 ? 4 - digits.size() : 0, ' ') + digits + "  " +
            padded(seccomp::syscall_name(table.arch, number), 24) + " " + answers_text(answers) + "\n";
  }
  text += "   *  " + padded("every other number", 24) + " " + seccomp::describe_action(table.default_action) + "\n";
  return text + "   *  " + padded("other architectures", 24) + " errno ENOSYS\n";
}

Result<int> show(std::span<char* const> args) {
  const Parsed parsed =
      TRY(parse_words(args, {.usage = "show NAME|FILE [--table]", .min_words = 1, .max_words = 1, .table = true}));
  const Loaded loaded = TRY(load_json(parsed.words[0]));
  if (parsed.table) {
    const Table table = TRY(seccomp::make_table(loaded.profile, seccomp::native_target()));
    TRY(write_out(table_text(table)));
  } else {
    TRY(write_out(loaded.json));
  }
  return 0;
}

std::string report_text(const Compiled& compiled) {
  const std::size_t count = instruction_count(compiled);
  std::string text = compiled.name + ": " + std::to_string(count) + " instructions, " +
                     std::to_string(count * sizeof(sock_filter)) + " bytes, for " +
                     std::string(seccomp::arch_name(seccomp::kNativeArch)) + "\n";
  if (compiled.has_start_cookie) text += "holds the start cookie's placeholder: only clawrun can start a program under it\n";
  if (!compiled.unknown_syscalls.empty()) text += "unknown syscalls: " + join(compiled.unknown_syscalls, ", ") + "\n";
  return text;
}

Result<> write_program(const Compiled& compiled, const std::string& path) {
  const UniqueFd file(open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY, 0666));
  if (!file.valid()) return fail_errno(quoted(path));
  for (const auto& filter : compiled.filters) {
    auto written =
        sys::write_all(file.get(), {reinterpret_cast<const char*>(filter.data()), filter.size() * sizeof(sock_filter)});
    if (!written) return while_doing(quoted(path), written.error());
  }
  return {};
}

Result<int> compile(std::span<char* const> args) {
  const Parsed parsed =
      TRY(parse_words(args, {.usage = "compile NAME|FILE [--output FILE]", .min_words = 1, .max_words = 1, .output = true}));
  const Loaded loaded = TRY(load_json(parsed.words[0]));
  auto compiled = seccomp::compile_profile(loaded.profile, parsed.words[0], seccomp::native_target());
  if (!compiled) return while_doing("seccomp profile " + quoted(parsed.words[0]), std::move(compiled).error());
  if (parsed.output) TRY(write_program(*compiled, std::string(*parsed.output)));
  TRY(write_out(report_text(*compiled)));
  return 0;
}

// A decimal number, or a hexadecimal one after 0x.
Result<std::uint64_t> parse_argument(std::string_view word) {
  if (!word.starts_with("0x") && !word.starts_with("0X")) {
    auto decimal = parse_unsigned(word);
    if (!decimal)
      return usage_error("argument: " + decimal.error().message,
                         {.usage = "test NAME|FILE SYSCALL [ARG...]", .min_words = 2, .max_words = 8});
    return *decimal;
  }
  std::uint64_t value = 0;
  for (const char c : word.substr(2)) {
    constexpr std::string_view kDigits = "0123456789abcdef";
    const std::size_t digit = kDigits.find(static_cast<char>(c >= 'A' && c <= 'F' ? c - 'A' + 'a' : c));
    if (digit == std::string_view::npos)
      return fail(ErrorKind::kUsage, "argument: " + quoted(word) + " is not a hexadecimal number");
    value = (value << 4U) | digit;
  }
  if (word.size() < 3 || word.size() > 18)
    return fail(ErrorKind::kUsage, "argument: " + quoted(word) + " is not a number of 64 bits");
  return value;
}

Result<int> find_syscall(std::string_view word) {
  if (const auto number = parse_unsigned(word, INT32_MAX); number) return static_cast<int>(*number);
  const seccomp::NameLookup found = seccomp::syscall_number(seccomp::kNativeArch, word);
  if (found.status == seccomp::NameStatus::kKnown) return found.number;
  const std::string arch(seccomp::arch_name(seccomp::kNativeArch));
  if (found.status == seccomp::NameStatus::kAbsent)
    return fail(ErrorKind::kUsage, "the syscall " + quoted(word) + " does not exist on " + arch);
  std::vector<std::string> names;
  for (int number = 0; number < 1024; ++number)
    if (std::string name = seccomp::syscall_name(seccomp::kNativeArch, number); !name.empty()) names.push_back(std::move(name));
  const Words candidates(names.begin(), names.end());
  return fail(ErrorKind::kUsage, "unknown syscall " + quoted(word) + did_you_mean(word, candidates));
}

Result<int> decide(std::span<char* const> args) {
  const Parsed parsed = TRY(parse_words(args, {.usage = "test NAME|FILE SYSCALL [ARG...]", .min_words = 2, .max_words = 8}));
  seccomp_data data{};
  data.nr = TRY(find_syscall(parsed.words[1]));
  data.arch = seccomp::audit_arch(seccomp::kNativeArch);
  for (std::size_t i = 2; i < parsed.words.size(); ++i) data.args[i - 2] = TRY(parse_argument(parsed.words[i]));
  const Compiled compiled = TRY(seccomp::load(parsed.words[0]));
  const std::uint32_t answer = TRY(seccomp::decide(compiled, data));
  TRY(write_out(seccomp::describe_action(answer) + "\n"));
  const std::uint32_t action = answer & SECCOMP_RET_ACTION_FULL;
  return action == SECCOMP_RET_ALLOW || action == SECCOMP_RET_LOG ? kAllowed : kRefused;
}

// 1 says that a call is refused; a failure of `test` itself must not look like that.
Result<int> test(std::span<char* const> args) {
  auto decided = decide(args);
  if (!decided) decided.error().kind = ErrorKind::kUsage;
  return decided;
}

struct Verb {
  std::string_view name;
  Result<int> (*run)(std::span<char* const>);
};

constexpr Verb kVerbs[] = {{"list", list}, {"show", show}, {"compile", compile}, {"test", test}};

}  // namespace

Result<int> seccomp_verb(std::span<char* const> args) {
  constexpr std::string_view kUsage =
      "list, show NAME|FILE [--table], compile NAME|FILE [--output FILE], or test NAME|FILE SYSCALL [ARG...]";
  if (args.empty()) return fail(ErrorKind::kUsage, "needs one of: " + std::string(kUsage));
  const std::string_view word = args[0];
  if (word == "--help" || word == "-h") {
    TRY(write_out("usage: clawrun seccomp " + std::string(kUsage) + "\n"));
    return 0;
  }
  for (const Verb& verb : kVerbs)
    if (verb.name == word) return verb.run(args.subspan(1));
  std::array<std::string_view, std::size(kVerbs)> names;
  std::ranges::transform(kVerbs, names.begin(), [](const Verb& verb) { return verb.name; });
  return fail(ErrorKind::kUsage,
              "unknown word " + quoted(word) + did_you_mean(word, names) + " (known: " + std::string(kUsage) + ")");
}

}  // namespace clawrun::cli
