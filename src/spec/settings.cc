#include "spec/settings.h"

#include <algorithm>
#include <array>

#include "base/text.h"
#include "tables/capabilities.h"

namespace clawrun::spec {

namespace {

using Apply = Result<>(SandboxSpec&, std::string_view);

Failure invalid(std::string message) {
  return fail(ErrorKind::kInvalid, std::move(message));
}

Failure not_one_of(std::string_view value, std::span<const std::string_view> allowed) {
  std::string list;
  for (const std::string_view word : allowed) list += (list.empty() ? "" : ", ") + std::string(word);
  return invalid(quoted(value) + " is not one of " + list + did_you_mean(value, allowed));
}

// "SRC:DST[:ro]" or, for the workspace, "DIR[:ro]". A backslash before a colon makes it part of a path.
std::vector<std::string> split_paths(std::string_view text) {
  std::vector<std::string> parts(1);
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 1 < text.size() && (text[i + 1] == ':' || text[i + 1] == '\\')) {
      parts.back() += text[++i];
    } else if (text[i] == ':') {
      parts.emplace_back();
    } else {
      parts.back() += text[i];
    }
  }
  return parts;
}

Result<> take_access(std::vector<std::string>& parts, Bind& bind) {
  if (parts.size() < 2 || (parts.back() != "ro" && parts.back() != "rw")) return {};
  bind.read_only = parts.back() == "ro";
  parts.pop_back();
  return {};
}

Result<> apply_workspace(SandboxSpec& spec, std::string_view value) {
  Bind bind;
  std::vector<std::string> parts = split_paths(value);
  TRY(take_access(parts, bind));
  if (parts.size() != 1 || parts[0].empty())
    return invalid(quoted(value) + " is not DIR[:ro] (a colon in a path is written \\:)");
  bind.source = parts[0];
  bind.target = kWorkspace;
  spec.workspace = std::move(bind);
  return {};
}

Result<> apply_bind(SandboxSpec& spec, std::string_view value) {
  Bind bind;
  std::vector<std::string> parts = split_paths(value);
  TRY(take_access(parts, bind));
  if (parts.size() != 2 || parts[0].empty() || parts[1].empty())
    return invalid(quoted(value) + " is not SRC:DST[:ro] (a colon in a path is written \\:)");
  bind.source = parts[0];
  bind.target = parts[1];
  spec.binds.push_back(std::move(bind));
  return {};
}

Result<> apply_tmpfs(SandboxSpec& spec, std::string_view value) {
  const std::vector<std::string> parts = split_paths(value);
  if (parts.size() > 2 || parts[0].empty()) return invalid(quoted(value) + " is not DST[:SIZE]");
  Tmpfs tmpfs;
  tmpfs.target = parts[0];
  if (parts.size() == 2) tmpfs.size_bytes = TRY(parse_size(parts[1]));
  spec.tmpfs.push_back(std::move(tmpfs));
  return {};
}

Result<> apply_env(SandboxSpec& spec, std::string_view value) {
  const std::size_t equals = value.find('=');
  if (equals == 0 || value.empty()) return invalid(quoted(value) + " has no variable name before the =");
  Variable variable;
  variable.name = value.substr(0, equals);
  if (equals != std::string_view::npos) variable.value = value.substr(equals + 1);
  spec.environment.push_back(std::move(variable));
  return {};
}

Result<> apply_env_file(SandboxSpec& spec, std::string_view value) {
  if (value.empty()) return invalid("an empty string is not a file");
  spec.environment_files.emplace_back(value);
  return {};
}

// Digits only, whole strings: "+0", "0x0", "1000:" and a name are errors, never root (CVE-2016-3697, CVE-2026-30892).
Result<> apply_user(SandboxSpec& spec, std::string_view value) {
  constexpr std::uint64_t kMaxId = 4294967294;  // the last one means "no change": setresuid(2)
  if (value == "root" || value == "sandbox") {
    spec.uid = spec.gid = value == "root" ? 0 : kSandboxId;
    return {};
  }
  const std::vector<std::string_view> parts = split(value, ':');
  const auto uid = parse_unsigned(parts[0], kMaxId);
  const auto gid = parse_unsigned(parts.back(), kMaxId);
  if (parts.size() > 2 || !uid || !gid) return invalid(quoted(value) + " is not UID[:GID] in decimal numbers, root or sandbox");
  spec.uid = static_cast<std::uint32_t>(*uid);
  spec.gid = static_cast<std::uint32_t>(*gid);
  return {};
}

Result<> apply_cap_add(SandboxSpec& spec, std::string_view value) {
  const auto number = tables::capability_number(value);
  if (!number) {
    std::string upper(value.substr(0, 64));
    std::ranges::transform(upper, upper.begin(), [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; });
    if (upper.starts_with("CAP_")) upper.erase(0, 4);
    return invalid(quoted(value) + " is not a capability" + did_you_mean(upper, tables::kCapabilities));
  }
  spec.capabilities |= 1ULL << *number;
  return {};
}

Result<> apply_uid_range(SandboxSpec& spec, std::string_view value) {
  const std::vector<std::string_view> parts = split(value, ':');
  if (parts.size() != 2) return invalid(quoted(value) + " is not START:COUNT");
  const std::uint64_t start = TRY(parse_unsigned(parts[0], UINT32_MAX - 1));
  const std::uint64_t count = TRY(parse_unsigned(parts[1], UINT32_MAX - 1 - start));
  spec.uid_range = {static_cast<std::uint32_t>(start), static_cast<std::uint32_t>(count)};
  return {};
}

Result<> apply_id_mapping(SandboxSpec& spec, std::string_view value) {
  constexpr std::string_view kAllowed[] = {"auto", "single", "range"};
  const auto* found = std::ranges::find(kAllowed, value);
  if (found == std::end(kAllowed)) return not_one_of(value, kAllowed);
  spec.id_mapping = static_cast<IdMapping>(found - kAllowed);
  return {};
}

Result<> apply_network(SandboxSpec& spec, std::string_view value) {
  constexpr std::string_view kAllowed[] = {"none", "host"};
  const auto* found = std::ranges::find(kAllowed, value);
  if (found == std::end(kAllowed)) return not_one_of(value, kAllowed);
  spec.network = static_cast<Network>(found - kAllowed);
  return {};
}

Result<> apply_landlock(SandboxSpec& spec, std::string_view value) {
  constexpr std::string_view kAllowed[] = {"auto", "on", "off"};
  const auto* found = std::ranges::find(kAllowed, value);
  if (found == std::end(kAllowed)) return not_one_of(value, kAllowed);
  spec.landlock = static_cast<Switch>(found - kAllowed);
  return {};
}

// RLIMIT_CPU counts whole seconds: setrlimit(2)
Result<> apply_cpu_time(SandboxSpec& spec, std::string_view value) {
  const std::chrono::milliseconds time = TRY(parse_duration(value));
  if (time.count() == 0 || time.count() % 1000 != 0)
    return invalid(quoted(value) + " is not a whole number of seconds of at least one: the kernel counts this limit in seconds");
  spec.cpu_time_s = static_cast<std::uint64_t>(time.count() / 1000);
  return {};
}

template <auto Member>
Result<> apply_duration(SandboxSpec& spec, std::string_view value) {
  spec.*Member = TRY(parse_duration(value));
  return {};
}

template <auto Member>
Result<> apply_size(SandboxSpec& spec, std::string_view value) {
  spec.*Member = TRY(parse_size(value));
  return {};
}

template <auto Member>
Result<> apply_count(SandboxSpec& spec, std::string_view value) {
  spec.*Member = TRY(parse_unsigned(value, INT64_MAX));
  return {};
}

template <auto Member>
Result<> apply_flag(SandboxSpec& spec, std::string_view value) {
  spec.*Member = TRY(parse_switch(value));
  return {};
}

template <auto Member>
Result<> apply_text(SandboxSpec& spec, std::string_view value) {
  if (value.empty()) return invalid("an empty string is not allowed here");
  spec.*Member = std::string(value);
  return {};
}

Result<> apply_no_init(SandboxSpec& spec, std::string_view value) {
  const bool without = TRY(parse_switch(value));
  spec.init = !without;
  return {};
}

Result<> apply_allow_exec(SandboxSpec& spec, std::string_view value) {
  if (!value.starts_with('/')) return invalid(quoted(value) + " is not an absolute path in the sandbox");
  spec.allow_exec.emplace_back(value);
  return {};
}

Result<> apply_preserve_fd(SandboxSpec& spec, std::string_view value) {
  constexpr std::uint64_t kMaxFd = 1 << 20;  // fs.nr_open of most systems
  const std::uint64_t fd = TRY(parse_unsigned(value, kMaxFd));
  if (fd < 3) return invalid(quoted(value) + " is stdio, which is passed anyway: descriptors from 3 on can be named");
  spec.preserve_fds.push_back(static_cast<int>(fd));
  return {};
}

constexpr auto kSettings = std::to_array<Setting>({
    {"rootfs", ValueKind::kValue, Section::kRoot, "NAME|DIR|host",
     "root filesystem: a name in the store (clawrun rootfs list), a directory, or the host's own /usr, read-only",
     &apply_text<&SandboxSpec::rootfs>},
    {"writable", ValueKind::kFlag, Section::kRoot, "", "lay a size-limited tmpfs over the root; what is written is thrown away",
     &apply_flag<&SandboxSpec::writable>},
    {"workspace", ValueKind::kValue, Section::kRoot, "DIR[:ro]", "the caller's directory at /workspace, where the command starts",
     &apply_workspace},
    {"bind", ValueKind::kList, Section::kRoot, "SRC:DST[:ro]", "a file or directory of the host in the sandbox", &apply_bind},
    {"tmpfs", ValueKind::kList, Section::kRoot, "DST[:SIZE]", "an empty, size-limited tmpfs", &apply_tmpfs},
    {"tmp-size", ValueKind::kValue, Section::kRoot, "SIZE",
     "size of /tmp, of /workspace without --workspace, and of each tmpfs (default 256m)",
     &apply_size<&SandboxSpec::tmp_size_bytes>},
    {"workdir", ValueKind::kValue, Section::kRoot, "DIR", "where the command starts (default /workspace)",
     &apply_text<&SandboxSpec::workdir>},
    {"env", ValueKind::kList, Section::kEnvironment, "K[=V]", "set a variable, or pass the caller's on", &apply_env},
    {"env-file", ValueKind::kList, Section::kEnvironment, "FILE",
     "variables from a file, one K=V or K a line; # begins a comment line", &apply_env_file},
    {"user", ValueKind::kValue, Section::kEnvironment, "UID[:GID]|root",
     "identity inside (default 1000:1000); root has no power either", &apply_user},
    {"cap-add", ValueKind::kList, Section::kEnvironment, "NAME", "keep a capability, over the sandbox's own namespaces only",
     &apply_cap_add},
    {"id-mapping", ValueKind::kValue, Section::kEnvironment, "auto|single|range",
     "how many user ids exist inside: one, or 65536 for package managers (auto: range when --cap-add needs it)",
     &apply_id_mapping},
    {"uid-range", ValueKind::kValue, Section::kEnvironment, "START:COUNT",
     "started by root: the host ids that sandboxes run as (default 1879048192:268435456)", &apply_uid_range},
    {"hostname", ValueKind::kValue, Section::kEnvironment, "NAME", "hostname inside (default sandbox)",
     &apply_text<&SandboxSpec::hostname>},
    {"network", ValueKind::kValue, Section::kIsolation, "none|host",
     "none: loopback only (default); host: the host's network, unprotected", &apply_network},
    {"seccomp", ValueKind::kValue, Section::kIsolation, "NAME|FILE|unconfined",
     "system call filter: default, strict, network, docker-compatible, a file, or none", &apply_text<&SandboxSpec::seccomp>},
    {"allow-exec", ValueKind::kList, Section::kIsolation, "PATH",
     "with --seccomp strict: a program that the command may execute (needs Landlock)", &apply_allow_exec},
    {"landlock", ValueKind::kValue, Section::kIsolation, "on|off|auto",
     "second wall around files, scopes and ports: on is an error where the kernel has none (default auto)", &apply_landlock},
    {"no-init", ValueKind::kFlag, Section::kIsolation, "", "the command is pid 1 itself: nobody reaps, nobody forwards signals",
     &apply_no_init},
    {"time-ns", ValueKind::kFlag, Section::kIsolation, "", "a time namespace of its own",
     &apply_flag<&SandboxSpec::time_namespace>},
    {"timeout", ValueKind::kValue, Section::kLimits, "TIME",
     "end the command after this wall time: TERM, then KILL after --grace (exit 124)", &apply_duration<&SandboxSpec::timeout>},
    {"grace", ValueKind::kValue, Section::kLimits, "TIME", "between TERM and the KILL of everything (default 2s)",
     &apply_duration<&SandboxSpec::grace>},
    {"cpu-time", ValueKind::kValue, Section::kLimits, "TIME", "processor time of each process, in whole seconds (RLIMIT_CPU)",
     &apply_cpu_time},
    {"nofile", ValueKind::kValue, Section::kLimits, "N", "open files of each process (RLIMIT_NOFILE, default 1024)",
     &apply_count<&SandboxSpec::nofile>},
    {"nproc", ValueKind::kValue, Section::kLimits, "N", "processes and threads of the sandbox (RLIMIT_NPROC, default 512)",
     &apply_count<&SandboxSpec::nproc>},
    {"fsize", ValueKind::kValue, Section::kLimits, "SIZE", "largest file that a process may write (RLIMIT_FSIZE)",
     &apply_size<&SandboxSpec::fsize_bytes>},
    {"stack", ValueKind::kValue, Section::kLimits, "SIZE", "stack of each process (RLIMIT_STACK)",
     &apply_size<&SandboxSpec::stack_bytes>},
    {"address-space", ValueKind::kValue, Section::kLimits, "SIZE", "virtual memory of each process (RLIMIT_AS)",
     &apply_size<&SandboxSpec::address_space_bytes>},
    {"memory", ValueKind::kValue, Section::kLimits, "SIZE", "memory of the whole sandbox (not enforced yet: an error)",
     &apply_text<&SandboxSpec::memory>},
    {"cpus", ValueKind::kValue, Section::kLimits, "N", "processors' worth of time (not enforced yet: an error)",
     &apply_text<&SandboxSpec::cpus>},
    {"cpuset", ValueKind::kValue, Section::kLimits, "LIST", "processors that may be used (not enforced yet: an error)",
     &apply_text<&SandboxSpec::cpuset>},
    {"pids", ValueKind::kValue, Section::kLimits, "N", "processes of the whole sandbox (not enforced yet: an error)",
     &apply_text<&SandboxSpec::pids>},
    {"tty", ValueKind::kFlag, Section::kStdio, "", "a terminal of the sandbox's own, copied to and from the caller's",
     &apply_flag<&SandboxSpec::tty>},
    {"preserve-fd", ValueKind::kList, Section::kStdio, "N", "pass on the caller's descriptor N", &apply_preserve_fd},
    {"allow-degraded", ValueKind::kFlag, Section::kRunning, "",
     "go on without a protection that this host cannot give; each is printed and recorded",
     &apply_flag<&SandboxSpec::allow_degraded>},
});

}  // namespace

std::string_view section_title(Section section) {
  constexpr std::string_view kTitles[] = {"Root filesystem", "Environment and identity", "Isolation",
                                          "Limits",          "Standard streams",         "Running"};
  return kTitles[static_cast<std::size_t>(section)];
}

std::span<const Setting> settings() {
  return kSettings;
}

std::vector<std::string_view> setting_names() {
  std::vector<std::string_view> names;
  for (const Setting& setting : kSettings) names.push_back(setting.name);
  return names;
}

const Setting* find_setting(std::string_view name) {
  const auto* found = std::ranges::find(kSettings, name, &Setting::name);
  return found == kSettings.end() ? nullptr : found;
}

Result<> apply_setting(SandboxSpec& spec, std::string_view name, std::string_view value) {
  const Setting* setting = find_setting(name);
  if (setting == nullptr) {
    const auto names = setting_names();
    return fail(ErrorKind::kUsage, "there is no setting " + quoted(name) + did_you_mean(name, names));
  }
  if (value.find('\0') != std::string_view::npos) return invalid("a NUL byte is not allowed");
  return setting->apply(spec, value);
}

}  // namespace clawrun::spec
