#include "spec/settings.h"

#include <algorithm>
#include <array>

#include "base/text.h"
#include "cgroup/writes.h"
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
  constexpr std::string_view kAllowed[] = {"none", "host", "allow", "ns:PATH", "ns:NAME"};
  constexpr Network kModes[] = {Network::kNone, Network::kHost, Network::kAllow};
  spec.network_namespace.clear();
  if (value.starts_with("ns:") && value.size() > 3) {
    spec.network = Network::kNamespace;
    spec.network_namespace = value.substr(3);
    return {};
  }
  const auto* found = std::ranges::find(kAllowed, value);
  if (found >= std::begin(kAllowed) + std::size(kModes)) return not_one_of(value, kAllowed);
  spec.network = kModes[found - kAllowed];
  return {};
}

template <auto Member, auto Parse>
Result<> apply_outgoing(SandboxSpec& spec, std::string_view value) {
  auto parsed = TRY(Parse(value));
  (spec.outgoing.*Member).push_back(std::move(parsed));
  return {};
}

Result<> apply_proxy_env(SandboxSpec& spec, std::string_view value) {
  spec.outgoing.proxy_environment = TRY(parse_switch(value));
  return {};
}

template <auto Member>
Result<> apply_outgoing_size(SandboxSpec& spec, std::string_view value) {
  const std::uint64_t bytes = TRY(parse_size(value));
  if (bytes == 0) return invalid("0 lets nothing through: --network none is that, and leaving it out is no limit");
  spec.outgoing.*Member = bytes;
  return {};
}

// The gateway holds two descriptors and two pipes of two for each.
Result<> apply_net_connections(SandboxSpec& spec, std::string_view value) {
  constexpr std::uint64_t kMost = 65'536;
  const auto connections = parse_unsigned(value, kMost);
  if (!connections || *connections == 0) return invalid(quoted(value) + " is not a number of connections from 1 to 65536");
  spec.outgoing.connections = *connections;
  return {};
}

Result<> apply_net_connect_timeout(SandboxSpec& spec, std::string_view value) {
  const std::chrono::milliseconds time = TRY(parse_duration(value));
  if (time.count() == 0 || time > std::chrono::hours(1)) return invalid(quoted(value) + " is not a time from 1ms to 1h");
  spec.outgoing.connect_timeout = time;
  return {};
}

Result<> apply_net_log(SandboxSpec& spec, std::string_view value) {
  if (value.empty()) return invalid("an empty string is not a file");
  spec.outgoing.log = value;
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

constexpr std::string_view kNone = "none";

Result<std::uint64_t> parse_limit_size(std::string_view value) {
  if (value == kNone) return cgroup::kUnlimited;
  return parse_size(value);
}

template <auto Member>
Result<> apply_limit_size(SandboxSpec& spec, std::string_view value) {
  spec.limits.*Member = TRY(parse_limit_size(value));
  return {};
}

// Less than this and no program's first page fits: a limit that only kills is a mistake in the units.
Result<> apply_memory(SandboxSpec& spec, std::string_view value) {
  constexpr std::uint64_t kLeast = 512 << 10U;
  const std::uint64_t bytes = TRY(parse_limit_size(value));
  if (bytes < kLeast) return invalid(quoted(value) + " is too little for any command to start: at least 512k, or none");
  spec.limits.memory_bytes = bytes;
  return {};
}

// Thousandths of a processor, in the kernel's unit: microseconds of each period.
Result<> apply_cpus(SandboxSpec& spec, std::string_view value) {
  if (value == kNone) {
    spec.limits.cpu_quota_us = cgroup::kUnlimited;
    return {};
  }
  const std::size_t point = value.find('.');
  const std::string_view whole = value.substr(0, point);
  std::string fraction(point == std::string_view::npos ? std::string_view() : value.substr(point + 1));
  const bool is_shaped = point == std::string_view::npos ? !whole.empty() : !fraction.empty() && fraction.size() <= 5;
  const auto processors = parse_unsigned(whole.empty() ? "0" : whole, 8192);
  fraction.resize(5, '0');
  const auto hundred_thousandths = parse_unsigned(fraction);
  // cpu.max takes no less than 1 ms of a period: kernel/sched/core.c, tg_set_cfs_bandwidth().
  constexpr std::uint64_t kLeastUs = 1000;
  if (!is_shaped || !processors || !hundred_thousandths || *processors * 100'000 + *hundred_thousandths < kLeastUs)
    return invalid(quoted(value) + " is not a number of processors from 0.01 to 8192, such as 0.5 or 2, or none");
  spec.limits.cpu_quota_us = *processors * 100'000 + *hundred_thousandths;
  return {};
}

template <auto Member>
Result<> apply_weight(SandboxSpec& spec, std::string_view value) {
  const auto weight = parse_unsigned(value, 10'000);
  if (!weight || *weight == 0)
    return invalid(quoted(value) + " is not a weight from 1 to 10000 (100 is the default of everybody)");
  spec.limits.*Member = static_cast<std::uint32_t>(*weight);
  return {};
}

Result<> apply_cpu_weight(SandboxSpec& spec, std::string_view value) {
  spec.limits.cpu_shares.reset();
  return apply_weight<&cgroup::Limits::cpu_weight>(spec, value);
}

Result<> apply_cpu_shares(SandboxSpec& spec, std::string_view value) {
  const auto shares = parse_unsigned(value, 262'144);
  if (!shares || *shares < 2)
    return invalid(quoted(value) + " is not a number of shares from 2 to 262144 (1024 is the default of everybody)");
  spec.limits.cpu_weight = cgroup::weight_of_shares(*shares);
  spec.limits.cpu_shares = *shares;
  return {};
}

// "0-3,6": cpuset(7), list format.
Result<> apply_cpuset(SandboxSpec& spec, std::string_view value) {
  constexpr std::uint64_t kMaxProcessor = 8191;
  for (const std::string_view range : split(value, ',')) {
    const auto ends = split(range, '-');
    const auto first = parse_unsigned(ends[0], kMaxProcessor);
    const auto last = parse_unsigned(ends.back(), kMaxProcessor);
    if (ends.size() > 2 || !first || !last || *first > *last)
      return invalid(quoted(value) + " is not a list of processors, such as 0-3,6");
  }
  spec.limits.cpuset_cpus = std::string(value);
  return {};
}

Result<> apply_pids(SandboxSpec& spec, std::string_view value) {
  if (value == kNone) {
    spec.limits.pids = cgroup::kUnlimited;
    return {};
  }
  constexpr std::uint64_t kMost = 4 << 20U;  // PID_MAX_LIMIT
  const auto pids = parse_unsigned(value, kMost);
  if (!pids || *pids < 2)
    return invalid(quoted(value) + " is not a number of processes from 2 (the command and its init) to 4194304, or none");
  spec.limits.pids = *pids;
  return {};
}

Result<> apply_oom_group(SandboxSpec& spec, std::string_view value) {
  spec.limits.oom_group = TRY(parse_switch(value));
  return {};
}

struct IoKey {
  std::string_view name;
  std::optional<std::uint64_t> cgroup::IoMax::*member;
};
constexpr IoKey kIoKeys[] = {{"rbps", &cgroup::IoMax::read_bytes_per_s},
                             {"wbps", &cgroup::IoMax::write_bytes_per_s},
                             {"riops", &cgroup::IoMax::read_operations_per_s},
                             {"wiops", &cgroup::IoMax::write_operations_per_s}};

// The device is the first word up to "KEY=", so that both "8:0:rbps=1m" and "/dev/sda:rbps=1m" are read.
Result<> apply_io_max(SandboxSpec& spec, std::string_view value) {
  const auto malformed = [&] {
    return invalid(quoted(value) +
                   " is not DEV:KEY=N[,KEY=N...] with DEV a block device or MAJOR:MINOR and KEY one of rbps, wbps, "
                   "riops, wiops, such as /dev/vda:rbps=10m,wiops=100");
  };
  const std::size_t equals = value.find('=');
  const std::size_t colon = equals == std::string_view::npos ? equals : value.rfind(':', equals);
  if (colon == std::string_view::npos || colon == 0) return malformed();
  cgroup::IoMax limit;
  limit.device = value.substr(0, colon);
  for (const std::string_view pair : split(value.substr(colon + 1), ',')) {
    const std::size_t middle = pair.find('=');
    const auto* key = std::ranges::find(kIoKeys, pair.substr(0, middle), &IoKey::name);
    if (middle == std::string_view::npos || key == std::end(kIoKeys)) return malformed();
    const auto rate = parse_limit_size(pair.substr(middle + 1));
    if (!rate || *rate == 0) return malformed();
    limit.*key->member = *rate;
  }
  spec.limits.io_max.push_back(std::move(limit));
  return {};
}

Result<> apply_device(SandboxSpec& spec, std::string_view value) {
  const std::vector<std::string> parts = split_paths(value);
  Device device{parts[0]};
  if (!device.path.starts_with("/dev/") || parts.size() > 2)
    return invalid(quoted(value) + " is not PATH[:rwm] with a path below /dev");
  if (parts.size() == 2) {
    device.read = device.write = false;
    for (const char letter : parts[1]) {
      if (letter != 'r' && letter != 'w' && letter != 'm') return invalid(quoted(value) + ": access is made of r, w and m");
      (letter == 'r' ? device.read : letter == 'w' ? device.write : device.mknod) = true;
    }
    if (parts[1].empty()) return invalid(quoted(value) + ": access is made of r, w and m");
  }
  spec.devices.push_back(std::move(device));
  return {};
}

Result<> apply_cgroup_driver(SandboxSpec& spec, std::string_view value) {
  constexpr std::string_view kAllowed[] = {"auto", "cgroupfs", "systemd"};
  const auto* found = std::ranges::find(kAllowed, value);
  if (found == std::end(kAllowed)) return not_one_of(value, kAllowed);
  spec.cgroup_driver = static_cast<cgroup::DriverChoice>(found - kAllowed);
  return {};
}

Result<> apply_name(SandboxSpec& spec, std::string_view value) {
  if (!is_sandbox_name(value))
    return invalid(quoted(value) + " is not a name: at most 64 letters, digits, '-', '_' and '.', the first a letter or digit");
  spec.name = std::string(value);
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
    {"network", ValueKind::kValue, Section::kNetwork, "none|allow|host|ns:PATH|ns:NAME",
     "none: loopback only (default); allow: only the hosts of --allow; host: the host's network, unprotected; ns: a network "
     "namespace that exists",
     &apply_network},
    {"allow", ValueKind::kList, Section::kNetwork, "HOST[:PORT[-PORT]][/tcp|udp]",
     "a name, *.NAME, address or network that may be reached (default ports 443 and 80)",
     &apply_outgoing<&Outgoing::allow, parse_allowed>},
    {"deny", ValueKind::kList, Section::kNetwork, "HOST[:PORT[-PORT]][/tcp|udp]",
     "what may not be reached although --allow covers it (default: every port)", &apply_outgoing<&Outgoing::deny, parse_denied>},
    {"proxy-env", ValueKind::kFlag, Section::kNetwork, "",
     "set HTTP_PROXY and the like to the gateway, for clients that want a proxy", &apply_proxy_env},
    {"net-rate", ValueKind::kValue, Section::kNetwork, "SIZE", "bytes a second through the gateway, both ways together",
     &apply_outgoing_size<&Outgoing::rate_bytes_per_s>},
    {"net-max-bytes", ValueKind::kValue, Section::kNetwork, "SIZE",
     "bytes through the gateway in all, both ways together; then everything is closed",
     &apply_outgoing_size<&Outgoing::most_bytes>},
    {"net-connections", ValueKind::kValue, Section::kNetwork, "N", "open connections at a time (default 1024)",
     &apply_net_connections},
    {"net-connect-timeout", ValueKind::kValue, Section::kNetwork, "TIME", "for a connection to the outside (default 10s)",
     &apply_net_connect_timeout},
    {"net-log", ValueKind::kValue, Section::kNetwork, "FILE", "append every decision of the gateway, one JSON object a line",
     &apply_net_log},
    {"credential", ValueKind::kList, Section::kNetwork, "NAME=env:VAR|file:PATH",
     "a secret that stays outside the sandbox, for --inject", &apply_outgoing<&Outgoing::credentials, parse_credential>},
    {"inject", ValueKind::kList, Section::kNetwork, "HOST:header=NAME:CREDENTIAL",
     "a header that the gateway adds to plain HTTP requests to HOST", &apply_outgoing<&Outgoing::injections, parse_injection>},
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
    {"memory", ValueKind::kValue, Section::kLimits, "SIZE|none",
     "memory of the whole sandbox (default half of what is available, at most 2g)", &apply_memory},
    {"memory-swap", ValueKind::kValue, Section::kLimits, "SIZE|none", "swap besides --memory (default none at all: 0)",
     &apply_limit_size<&cgroup::Limits::memory_swap_bytes>},
    {"memory-high", ValueKind::kValue, Section::kLimits, "SIZE|none",
     "memory above which the sandbox is slowed down and reclaimed from (cgroup v2)",
     &apply_limit_size<&cgroup::Limits::memory_high_bytes>},
    {"oom-group", ValueKind::kFlag, Section::kLimits, "", "want of memory ends the whole sandbox, not one process (cgroup v2)",
     &apply_oom_group},
    {"cpus", ValueKind::kValue, Section::kLimits, "N|none", "processors' worth of time, such as 0.5", &apply_cpus},
    {"cpu-weight", ValueKind::kValue, Section::kLimits, "1..10000", "share of processor time against others (default 100)",
     &apply_cpu_weight},
    {"cpu-shares", ValueKind::kValue, Section::kLimits, "2..262144", "the same on the scale of cgroup v1 (default 1024)",
     &apply_cpu_shares},
    {"cpuset", ValueKind::kValue, Section::kLimits, "LIST", "processors that may be used, such as 0-3,6", &apply_cpuset},
    {"pids", ValueKind::kValue, Section::kLimits, "N|none", "processes and threads of the whole sandbox (default 512)",
     &apply_pids},
    {"io-max", ValueKind::kList, Section::kLimits, "DEV:KEY=N,...",
     "rates of a disk: rbps and wbps in bytes a second, riops and wiops in operations a second", &apply_io_max},
    {"io-weight", ValueKind::kValue, Section::kLimits, "1..10000", "share of disk time against others (default 100)",
     &apply_weight<&cgroup::Limits::io_weight>},
    {"device", ValueKind::kList, Section::kIsolation, "PATH[:rwm]",
     "a device node of the host in the sandbox; r, w and m say what its cgroup allows (default rw)", &apply_device},
    {"core-sched", ValueKind::kFlag, Section::kIsolation, "",
     "no other sandbox or program runs on the sibling threads of a processor core at the same time",
     &apply_flag<&SandboxSpec::core_scheduling>},
    {"cgroup-driver", ValueKind::kValue, Section::kRunning, "auto|cgroupfs|systemd",
     "who makes the cgroup: clawrun in its own or a delegated group, or systemd, as a scope (default auto)",
     &apply_cgroup_driver},
    {"cgroup-path", ValueKind::kValue, Section::kRunning, "PATH",
     "where: a directory for cgroupfs, slice:prefix:name for systemd", &apply_text<&SandboxSpec::cgroup_path>},
    {"name", ValueKind::kValue, Section::kRunning, "ID", "name of the sandbox for list, stats, update and pause", &apply_name},
    {"tty", ValueKind::kFlag, Section::kStdio, "", "a terminal of the sandbox's own, copied to and from the caller's",
     &apply_flag<&SandboxSpec::tty>},
    {"preserve-fd", ValueKind::kList, Section::kStdio, "N", "pass on the caller's descriptor N", &apply_preserve_fd},
    {"max-output", ValueKind::kValue, Section::kStdio, "SIZE",
     "how much of standard output, and of standard error, is passed on; the rest is thrown away, and the report says so",
     &apply_size<&SandboxSpec::max_output_bytes>},
    {"allow-degraded", ValueKind::kFlag, Section::kRunning, "",
     "go on without a protection that this host cannot give; each is printed and recorded",
     &apply_flag<&SandboxSpec::allow_degraded>},
});

}  // namespace

// In file names, unit names and tables; never read as an option.
bool is_sandbox_name(std::string_view name) {
  constexpr std::size_t kMost = 64;
  const auto is_alphanumeric = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); };
  const auto is_allowed = [&](char c) { return is_alphanumeric(c) || c == '-' || c == '_' || c == '.'; };
  return !name.empty() && name.size() <= kMost && is_alphanumeric(name[0]) && std::ranges::all_of(name, is_allowed);
}

std::string_view section_title(Section section) {
  constexpr std::string_view kTitles[] = {"Root filesystem", "Environment and identity", "Isolation", "Network",
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
