#include "spec/validate.h"

#include <algorithm>
#include <set>

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
    check_network();
    check_limits();
    check_descriptors();
    check_files();
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

  // Naming a host is asking for it; beside another mode the two contradict each other.
  void check_network() {
    const Outgoing& outgoing = spec_.outgoing;
    if (spec_.network == Network::kAuto) spec_.network = outgoing.allow.empty() ? Network::kNone : Network::kAllow;
    if (spec_.network == Network::kNamespace && spec_.network_namespace.find('/') == std::string::npos &&
        (spec_.network_namespace == "." || spec_.network_namespace == ".."))
      add("network", quoted(spec_.network_namespace) + " is not a name of ip-netns(8)");
    const struct {
      const char* name;
      bool is_given;
    } rows[] = {{"allow", !outgoing.allow.empty()},
                {"deny", !outgoing.deny.empty()},
                {"proxy-env", outgoing.proxy_environment},
                {"net-rate", outgoing.rate_bytes_per_s != 0},
                {"net-max-bytes", outgoing.most_bytes != 0},
                {"net-connections", outgoing.connections.has_value()},
                {"net-connect-timeout", outgoing.connect_timeout.has_value()},
                {"net-log", !outgoing.log.empty()},
                {"credential", !outgoing.credentials.empty()},
                {"inject", !outgoing.injections.empty()}};
    if (spec_.network != Network::kAllow) {
      for (const auto& row : rows)
        if (row.is_given) add(row.name, "goes with --network allow only");
      return;
    }
    if (spec_.seccomp == "strict") add("network", "--seccomp strict refuses Internet sockets, so nothing could be reached");
    check_rules();
    check_injections();
  }

  void check_rules() {
    constexpr std::size_t kMostRules = 128;
    constexpr unsigned kMostUdpPorts = 64;  // each is a socket of the gateway's
    const Outgoing& outgoing = spec_.outgoing;
    if (outgoing.allow.size() > kMostRules) add("allow", "more than " + std::to_string(kMostRules) + " rules");
    if (outgoing.deny.size() > kMostRules) add("deny", "more than " + std::to_string(kMostRules) + " rules");
    std::set<unsigned> udp_ports;
    for (const HostRule& rule : outgoing.allow) {
      if (std::ranges::find(rule.protocols, HostRule::Protocol::kUdp) == rule.protocols.end()) continue;
      for (const PortRange& range : rule.ports) {
        if (range.first <= 53 && range.last >= 53)
          add("allow", quoted(rule.text) + ": UDP port 53 of every address is the gateway's own answerer of names");
        for (unsigned port = range.first; port <= range.last && udp_ports.size() <= kMostUdpPorts; ++port) udp_ports.insert(port);
      }
    }
    if (udp_ports.size() > kMostUdpPorts) add("allow", "more than " + std::to_string(kMostUdpPorts) + " UDP ports in all");
  }

  void check_injections() {
    const Outgoing& outgoing = spec_.outgoing;
    std::set<std::string> names;
    std::set<std::string> used;
    for (const Credential& credential : outgoing.credentials)
      if (!names.insert(credential.name).second) add("credential", "two of the name " + quoted(credential.name));
    for (const Injection& injection : outgoing.injections) {
      used.insert(injection.credential);
      if (!names.contains(injection.credential)) add("inject", "there is no --credential " + quoted(injection.credential));
    }
    for (const std::string& name : names)
      if (!used.contains(name)) add("credential", quoted(name) + " is used by no --inject");
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

  void check_files() {
    constexpr std::uint64_t kMostBytes = 64ULL << 20U;
    constexpr std::size_t kMostFiles = 4096;
    if (spec_.files.empty()) return;
    const std::string directory = spec_.workdir.empty() ? kWorkspace : spec_.workdir;
    if (spec_.workspace && (directory == kWorkspace || directory.starts_with(std::string(kWorkspace) + "/")))
      add("files", "the work directory is the caller's own (--workspace), which the caller writes to");
    std::uint64_t bytes = 0;
    std::set<std::string> paths;
    for (File& file : spec_.files) {
      bytes += file.data.size();
      const std::string clean = normalized("/" + file.path);
      if (file.path.starts_with('/') || clean.size() < 2 || clean.size() > kPathMax)
        add("files", quoted(file.path) + " is not a path relative to the work directory, without . and ..");
      else
        file.path = clean.substr(1);
      if (!paths.insert(file.path).second) add("files", "two files at " + quoted(file.path));
      if (file.mode > 0777) add("files", quoted(file.path) + ": a mode has permission bits only, 0 to 0777");
    }
    if (bytes > kMostBytes) add("files", "more than " + format_size(kMostBytes) + " in all");
    if (spec_.files.size() > kMostFiles) add("files", "more than " + std::to_string(kMostFiles) + " files");
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
