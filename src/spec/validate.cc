#include "spec/validate.h"

#include <algorithm>

#include "base/text.h"

namespace clawrun::spec {

namespace {

constexpr std::size_t kPathMax = 4095;
constexpr std::size_t kMaxMounts = 512;

class Validation {
 public:
  explicit Validation(SandboxSpec& spec) : spec_(spec) {}

  std::vector<Problem> run() {
    check_command();
    check_mounts();
    check_environment();
    check_identity();
    check_isolation();
    check_limits();
    check_descriptors();
    return std::move(problems_);
  }

 private:
  void add(std::string setting, std::string message) { problems_.push_back({std::move(setting), std::move(message)}); }

  void check_command() {
    if (spec_.command.empty() || spec_.command[0].empty())
      add("command", "no command is given: write it after --, such as clawrun exec -- ls");
    for (const std::string& word : spec_.command)
      if (word.find('\0') != std::string::npos) add("command", "a NUL byte is not allowed in an argument");
  }

  // Where a mount may go: nothing of ours may be covered, or the protections there would be gone (CVE-2019-16884).
  void check_target(const std::string& setting, std::string& target) {
    const std::string clean = normalized(target);
    if (clean.empty() || clean.size() > kPathMax) {
      add(setting, quoted(target) + " is not an absolute path without . and ..");
      return;
    }
    target = clean;
    if (target == "/") add(setting, "the root itself cannot be covered; choose it with --rootfs");
    for (const std::string_view ours : {"/proc", "/dev", "/sys"})
      if (target == ours || target.starts_with(std::string(ours) + "/"))
        add(setting, quoted(target) + " is below " + std::string(ours) + ", which clawrun makes itself");
    if (std::ranges::find(targets_, target) != targets_.end()) add(setting, "two mounts at " + quoted(target));
    targets_.push_back(target);
  }

  void check_mounts() {
    if (spec_.workspace) {
      check_source("workspace", spec_.workspace->source);
      targets_.push_back(spec_.workspace->target);
    }
    for (Bind& bind : spec_.binds) {
      check_source("bind", bind.source);
      check_target("bind", bind.target);
    }
    for (Tmpfs& tmpfs : spec_.tmpfs) {
      check_target("tmpfs", tmpfs.target);
      if (tmpfs.size_bytes && *tmpfs.size_bytes < 4096) add("tmpfs", "a size below 4k holds nothing");
    }
    if (spec_.tmp_size_bytes < 4096) add("tmp-size", "a size below 4k holds nothing");
    if (targets_.size() > kMaxMounts) add("bind", "more than " + std::to_string(kMaxMounts) + " mounts");
    if (!spec_.workdir.empty()) {
      const std::string clean = normalized(spec_.workdir);
      if (clean.empty())
        add("workdir", quoted(spec_.workdir) + " is not an absolute path without . and ..");
      else
        spec_.workdir = clean;
    }
  }

  void check_source(const std::string& setting, const std::string& source) {
    if (source.size() > kPathMax) add(setting, "a source path longer than 4095 bytes");
  }

  void check_environment() {
    for (const Variable& variable : spec_.environment) {
      if (variable.name.empty() || variable.name.find('=') != std::string::npos)
        add("env", quoted(variable.name) + " is not a variable name");
      if (variable.name.find('\0') != std::string::npos || (variable.value && variable.value->find('\0') != std::string::npos))
        add("env", "a NUL byte is not allowed in " + quoted(variable.name));
    }
  }

  void check_identity() {
    if (spec_.uid_range.count == 0 || spec_.uid_range.start == 0) add("uid-range", "the range is empty or holds host uid 0");
    const bool allowed = std::ranges::all_of(spec_.hostname, [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.';
    });
    if (!allowed || spec_.hostname.empty() || spec_.hostname.size() > 64)
      add("hostname", quoted(spec_.hostname) + " is not a hostname: letters, digits, - and ., at most 64");
  }

  void check_isolation() {
    if (spec_.tty && !spec_.init) add("tty", "needs init, so it cannot go with --no-init");
    constexpr std::uint64_t kChangeIds = 1U << 6U | 1U << 7U;  // CAP_SETGID, CAP_SETUID
    if (!spec_.init && (spec_.capabilities & kChangeIds) != 0)
      add("no-init",
          "a change of uid takes away the signal that ends the sandbox with its supervisor, so it cannot go with --cap-add "
          "SETUID or SETGID");
    if (!spec_.allow_exec.empty() && spec_.landlock == Switch::kOff)
      add("allow-exec", "the programs are told apart by Landlock, so it cannot go with --landlock off");
    if (!spec_.allow_exec.empty() && spec_.seccomp != "strict")
      add("allow-exec", "only --seccomp strict refuses exec, so there is nothing to allow");
  }

  void check_limits() {
    const cgroup::Limits& limits = spec_.limits;
    const std::uint64_t memory = limits.memory_bytes.value_or(cgroup::kUnlimited);
    if (limits.memory_high_bytes && *limits.memory_high_bytes != cgroup::kUnlimited && *limits.memory_high_bytes > memory)
      add("memory-high", format_size(*limits.memory_high_bytes) + " is more than --memory, which would act first");
    const auto at_least = [&](const char* name, const std::optional<std::uint64_t>& value, std::uint64_t least) {
      if (value && *value < least)
        add(name, std::to_string(*value) + " is too little for any command to start: at least " + std::to_string(least));
    };
    at_least("nofile", spec_.nofile, 3);
    at_least("nproc", spec_.nproc, 1);
    at_least("stack", spec_.stack_bytes, 64 << 10U);
    at_least("address-space", spec_.address_space_bytes, 1 << 20U);
  }

  void check_descriptors() {
    std::ranges::sort(spec_.preserve_fds);
    const auto repeated = std::ranges::unique(spec_.preserve_fds);
    spec_.preserve_fds.erase(repeated.begin(), repeated.end());
    if (spec_.preserve_fds.size() > 250) add("preserve-fd", "more than 250 descriptors");
  }

  SandboxSpec& spec_;
  std::vector<Problem> problems_;
  std::vector<std::string> targets_;
};

}  // namespace

std::string normalized(std::string_view path) {
  if (!path.starts_with('/') || path.find('\0') != std::string_view::npos) return {};
  std::string out;
  for (const std::string_view part : split(path, '/')) {
    if (part.empty()) continue;
    if (part == "." || part == "..") return {};
    out += "/";
    out += part;
  }
  return out.empty() ? "/" : out;
}

std::expected<ValidSpec, std::vector<Problem>> validate(SandboxSpec spec) {
  std::vector<Problem> problems = Validation(spec).run();
  if (!problems.empty()) return std::unexpected(std::move(problems));
  return ValidSpec(std::move(spec));
}

}  // namespace clawrun::spec
