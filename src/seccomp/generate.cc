// Build-time program: compiles profiles for both architectures and writes them as a C++ file (builtin.h says what for).
//
//   seccomp-generate OUTPUT PROFILE.json...
#include <cstdio>
#include <string>
#include <vector>

#include "base/text.h"
#include "seccomp/compile.h"

namespace clawrun::seccomp {

namespace {

struct Source {
  std::string name;
  std::string json;
};

Result<Source> read_source(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  const std::string file = slash == std::string::npos ? path : path.substr(slash + 1);
  if (!file.ends_with(".json")) return fail(ErrorKind::kUsage, quoted(path) + " does not end in .json");
  std::FILE* stream = std::fopen(path.c_str(), "re");
  if (stream == nullptr) return fail_errno(path);
  Source source{file.substr(0, file.size() - 5), {}};
  char buffer[4096];
  for (std::size_t got = 0; (got = std::fread(buffer, 1, sizeof(buffer), stream)) > 0;) source.json.append(buffer, got);
  const bool failed = std::ferror(stream) != 0;
  std::fclose(stream);
  if (failed) return fail(ErrorKind::kSystem, path + ": cannot be read");
  return source;
}

// A shipped profile must answer every call of the architecture on purpose.
Result<> check_complete(const Profile& profile, Arch arch) {
  const Table table = TRY(make_table(profile, {.arch = arch}));
  for (int number = 0; number < 1024; ++number) {
    const std::string name = syscall_name(arch, number);
    if (!name.empty() && !table.by_number.contains(number))
      return fail(ErrorKind::kInvalid,
                  "no rule names " + name + ", syscall " + std::to_string(number) + " of " + std::string(arch_name(arch)));
  }
  if (!table.unknown_syscalls.empty()) return fail(ErrorKind::kInvalid, "unknown syscall " + quoted(table.unknown_syscalls[0]));
  return {};
}

std::string filter_text(const std::string& variable, const std::vector<sock_filter>& filter) {
  std::string text = "constexpr sock_filter " + variable + "[] = {\n";
  for (const sock_filter& step : filter)
    text += "  {" + std::to_string(step.code) + ", " + std::to_string(step.jt) + ", " + std::to_string(step.jf) + ", " +
            std::to_string(step.k) + "U},\n";
  return text + "};\n";
}

std::string escaped_lines(const std::string& json) {
  std::string text;
  for (const std::string_view line : split(json, '\n')) {
    text += "\n  \"";
    for (const char c : line) {
      if (c == '"' || c == '\\') text += '\\';
      text += c;
    }
    text += "\\n\"";
  }
  // The last line is the empty one behind the last newline.
  text.resize(text.size() - std::string_view("\n  \"\\n\"").size());
  return text;
}

Result<std::string> arch_text(const std::vector<Source>& sources, Arch arch) {
  std::string arrays;
  std::string table = "constexpr BuiltinProfile kProfiles[] = {\n";
  for (std::size_t i = 0; i < sources.size(); ++i) {
    const Profile profile = TRY(parse_profile(sources[i].json));
    TRY(check_complete(profile, arch));
    const Compiled compiled = TRY(compile_profile(profile, sources[i].name, {.arch = arch}));
    const std::string number = std::to_string(i);
    std::string spans;
    for (std::size_t j = 0; j < compiled.filters.size(); ++j) {
      const std::string variable = "kFilter" + number + "x" + std::to_string(j);
      arrays += filter_text(variable, compiled.filters[j]);
      spans += (j == 0 ? "" : ", ") + variable;
    }
    arrays += "constexpr std::span<const sock_filter> kFilters" + number + "[] = {" + spans + "};\n";
    table += "  {\"" + sources[i].name + "\", kJson" + number + ", kFilters" + number + ", " +
             (compiled.has_start_cookie ? "true" : "false") + ", " + std::to_string(compiled.flags) + "U},\n";
  }
  return arrays + table + "};\n";
}

Result<std::string> generate(const std::vector<Source>& sources) {
  std::string text =
      "// Written by seccomp-generate. Do not edit.\n#include \"seccomp/builtin.h\"\n\nnamespace clawrun::seccomp {\n\nnamespace "
      "{\n\n";
  for (std::size_t i = 0; i < sources.size(); ++i)
    text += "constexpr std::string_view kJson" + std::to_string(i) + " =" + escaped_lines(sources[i].json) + ";\n\n";
  text += "#if defined(__x86_64__)\n";
  text += TRY(arch_text(sources, Arch::kX86_64));
  text += "#elif defined(__aarch64__)\n";
  text += TRY(arch_text(sources, Arch::kAarch64));
  text +=
      "#endif\n\n}  // namespace\n\nstd::span<const BuiltinProfile> builtin_profiles() { return kProfiles; }\n\n}  // namespace "
      "clawrun::seccomp\n";
  return text;
}

Result<> run(const std::vector<std::string>& arguments) {
  if (arguments.size() < 2) return fail(ErrorKind::kUsage, "usage: seccomp-generate OUTPUT PROFILE.json...");
  std::vector<Source> sources;
  for (std::size_t i = 1; i < arguments.size(); ++i) {
    Source source = TRY(read_source(arguments[i]));
    sources.push_back(std::move(source));
  }
  const std::string text = TRY(generate(sources));
  std::FILE* stream = std::fopen(arguments[0].c_str(), "we");
  if (stream == nullptr) return fail_errno(arguments[0]);
  const bool written = std::fwrite(text.data(), 1, text.size(), stream) == text.size();
  if (std::fclose(stream) != 0 || !written) return fail(ErrorKind::kSystem, arguments[0] + ": cannot be written");
  return {};
}

}  // namespace

}  // namespace clawrun::seccomp

int main(int argc, char** argv) {
  const auto result = clawrun::seccomp::run(std::vector<std::string>(argv + 1, argv + argc));
  if (result) return 0;
  std::fprintf(stderr, "seccomp-generate: %s\n", result.error().message.c_str());
  return 1;
}
