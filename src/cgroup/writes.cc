#include "cgroup/writes.h"

#include <algorithm>
#include <cmath>

#include "cgroup/writes_config.h"

namespace clawrun::cgroup {

namespace {

std::string text_v2(std::uint64_t value) {
  return value == kUnlimited ? "max" : std::to_string(value);
}
std::string text_v1(std::uint64_t value) {
  return value == kUnlimited ? "-1" : std::to_string(value);
}

struct IoKey {
  std::optional<std::uint64_t> IoMax::*rate;
  const char* key;     // of io.max
  const char* file;    // of v1
  const char* member;  // of linux.resources
};
constexpr IoKey kIoKeys[] = {
    {&IoMax::read_bytes_per_s, "rbps", "blkio.throttle.read_bps_device", "blockIO.throttleReadBpsDevice"},
    {&IoMax::write_bytes_per_s, "wbps", "blkio.throttle.write_bps_device", "blockIO.throttleWriteBpsDevice"},
    {&IoMax::read_operations_per_s, "riops", "blkio.throttle.read_iops_device", "blockIO.throttleReadIOPSDevice"},
    {&IoMax::write_operations_per_s, "wiops", "blkio.throttle.write_iops_device", "blockIO.throttleWriteIOPSDevice"}};

std::string io_max_line(const IoMax& limit) {
  std::string line = limit.device;
  for (const IoKey& row : kIoKeys)
    if (limit.*row.rate) line += std::string(" ") + row.key + "=" + text_v2(*(limit.*row.rate));
  return line;
}

Failure only_v2(std::string_view option, std::string_view file) {
  return fail(ErrorKind::kUnsupported, "--" + std::string(option) + ": cgroup v1, where this host has the controller, knows no " +
                                           std::string(file) + "; leave it out, or boot with cgroup v2 alone");
}

// The members of linux.resources by the options that say the same.
constexpr struct {
  std::string_view option;
  const char* member;
} kMembers[] = {{"memory", "memory.limit"}, {"memory-swap", "memory.swap"},  {"memory-high", "unified"},
                {"cpus", "cpu.quota"},      {"cpu-weight", "cpu.shares"},    {"cpuset", "cpu.cpus"},
                {"pids", "pids.limit"},     {"io-weight", "blockIO.weight"}, {"io-max", "blockIO.throttle*Device"},
                {"oom-group", "unified"}};

// memory.memsw counts memory and swap together.
Result<> memory_v1(const Limits& limits, std::uint64_t before_bytes, std::vector<Write>& into) {
  const bool limits_swap = limits.memory_swap_bytes && *limits.memory_swap_bytes != kUnlimited;
  if (limits_swap && limits.memory_bytes.value_or(kUnlimited) == kUnlimited)
    return fail(ErrorKind::kUnsupported, "--memory-swap: cgroup v1 counts memory and swap together: give --memory too");
  if (!limits.memory_bytes) return {};
  const std::uint64_t memory = *limits.memory_bytes;
  const std::uint64_t swap = limits.memory_swap_bytes.value_or(memory == kUnlimited ? kUnlimited : 0);
  const bool open = memory == kUnlimited || swap == kUnlimited || memory > kUnlimited - swap;
  const Write limit{"memory", "memory.limit_in_bytes", text_v1(memory), "memory"};
  const Write both{"memory", "memory.memsw.limit_in_bytes", open ? "-1" : text_v1(memory + swap), "memory-swap",
                   open || swap == 0};
  const bool grows = memory > before_bytes || memory == kUnlimited;
  into.push_back(grows ? both : limit);
  into.push_back(grows ? limit : both);
  // A kernel that does not count swap still keeps a group whose swappiness is 0 out of it.
  if (swap == 0) into.push_back({"memory", "memory.swappiness", "0", "memory-swap"});
  return {};
}

}  // namespace

std::string name_of(std::string_view setting, AskedBy asked_by) {
  if (asked_by == AskedBy::kOptions) return "--" + std::string(setting);
  for (const auto& row : kMembers)
    if (row.option == setting) return std::string("linux.resources.") + row.member;
  return "linux.resources." + std::string(setting);
}

std::vector<Write> writes_v2(const Limits& limits) {
  std::vector<Write> writes;
  const auto add = [&](std::string_view controller, const char* file, std::string value, std::string_view setting) {
    writes.push_back({controller, file, std::move(value), setting});
  };
  if (limits.memory_high_bytes) add("memory", "memory.high", text_v2(*limits.memory_high_bytes), "memory-high");
  if (limits.memory_bytes) add("memory", "memory.max", text_v2(*limits.memory_bytes), "memory");
  if (limits.memory_swap_bytes) {
    // Missing where the kernel has no swap: then there is none to use.
    writes.push_back({"memory", "memory.swap.max", text_v2(*limits.memory_swap_bytes), "memory-swap", true});
  }
  if (limits.oom_group) add("memory", "memory.oom.group", *limits.oom_group ? "1" : "0", "oom-group");
  if (limits.cpu_weight) add("cpu", "cpu.weight", std::to_string(*limits.cpu_weight), "cpu-weight");
  if (limits.cpu_quota_us && limits.asked_by == AskedBy::kOptions)
    add("cpu", "cpu.max", text_v2(*limits.cpu_quota_us) + " " + std::to_string(limits.cpu_period_us), "cpus");
  if (limits.cpuset_cpus) add("cpuset", "cpuset.cpus", *limits.cpuset_cpus, "cpuset");
  if (limits.pids) add("pids", "pids.max", text_v2(*limits.pids), "pids");
  if (limits.io_weight) add("io", "io.weight", "default " + std::to_string(*limits.io_weight), "io-weight");
  for (const IoMax& limit : limits.io_max) {
    if (limits.asked_by == AskedBy::kOptions) add("io", "io.max", io_max_line(limit), "io-max");
    if (limits.asked_by == AskedBy::kOptions) continue;
    // One by one, so that a refusal names the one.
    for (const IoKey& row : kIoKeys)
      if (limit.*row.rate) add("io", "io.max", limit.device + " " + row.key + "=" + text_v2(*(limit.*row.rate)), row.member);
  }
  if (limits.asked_by == AskedBy::kConfig) add_config_v2(limits, writes);
  for (Write& write : writes) write.asked_by = limits.asked_by;
  return writes;
}

Result<std::vector<Write>> writes_v1(const Limits& limits, std::uint64_t memory_before_bytes) {
  if (limits.memory_high_bytes) return only_v2("memory-high", "memory.high");
  if (limits.oom_group.value_or(false)) return only_v2("oom-group", "memory.oom.group");
  std::vector<Write> writes;
  const bool is_config = limits.asked_by == AskedBy::kConfig;
  if (is_config)
    TRY(add_memory_config_v1(limits, memory_before_bytes, writes));
  else
    TRY(memory_v1(limits, memory_before_bytes, writes));
  if (limits.cpu_weight) {
    const std::uint64_t shares = limits.cpu_shares.value_or(shares_of_weight(*limits.cpu_weight));
    writes.push_back({"cpu", "cpu.shares", std::to_string(shares), "cpu-weight"});
  }
  if (limits.cpu_quota_us && !is_config) {
    writes.push_back({"cpu", "cpu.cfs_period_us", std::to_string(limits.cpu_period_us), "cpus"});
    writes.push_back({"cpu", "cpu.cfs_quota_us", text_v1(*limits.cpu_quota_us), "cpus"});
  }
  if (limits.cpuset_cpus) writes.push_back({"cpuset", "cpuset.cpus", *limits.cpuset_cpus, "cpuset"});
  if (limits.pids) writes.push_back({"pids", "pids.max", text_v2(*limits.pids), "pids"});
  if (limits.io_weight)
    writes.push_back({"io", "blkio.bfq.weight", std::to_string(std::min(*limits.io_weight, 1000U)), "io-weight"});
  for (const IoMax& limit : limits.io_max)
    for (const IoKey& row : kIoKeys)
      if (limit.*row.rate) {
        const std::uint64_t rate = *(limit.*row.rate);
        writes.push_back({"io", row.file, limit.device + " " + std::to_string(rate == kUnlimited ? 0 : rate),
                          limits.asked_by == AskedBy::kConfig ? row.member : "io-max"});
      }
  if (is_config) TRY(add_config_v1(limits, writes));
  for (Write& write : writes) write.asked_by = limits.asked_by;
  return writes;
}

std::vector<Asked> asked_for(const Limits& limits) {
  std::vector<Asked> asked;
  // What is only lifted needs no group.
  const auto add = [&](const std::optional<std::uint64_t>& value, const char* controller, const char* setting) {
    if (value && *value != kUnlimited) asked.push_back({controller, setting});
  };
  add(limits.memory_bytes, "memory", "memory");
  add(limits.memory_swap_bytes, "memory", "memory-swap");
  add(limits.memory_high_bytes, "memory", "memory-high");
  if (limits.oom_group.value_or(false)) asked.push_back({"memory", "oom-group"});
  add(limits.cpu_quota_us, "cpu", "cpus");
  if (limits.cpu_weight) asked.push_back({"cpu", "cpu-weight"});
  if (limits.cpuset_cpus) asked.push_back({"cpuset", "cpuset"});
  add(limits.pids, "pids", "pids");
  if (!limits.io_max.empty()) asked.push_back({"io", "io-max"});
  if (limits.io_weight) asked.push_back({"io", "io-weight"});
  if (limits.asked_by == AskedBy::kConfig) add_config_asked(limits, asked);
  return asked;
}

std::vector<std::string_view> needed_controllers(const Limits& limits) {
  // In this order, so that what is printed of them stays the same.
  constexpr std::string_view kControllers[] = {"memory",  "cpu",     "cpuset",   "pids", "io",
                                               "hugetlb", "net_cls", "net_prio", "rdma", "misc"};
  const std::vector<Asked> asked = asked_for(limits);
  std::vector<std::string_view> needed;
  for (const std::string_view controller : kControllers)
    if (std::ranges::find(asked, controller, &Asked::controller) != asked.end()) needed.push_back(controller);
  return needed;
}

Limits only(const Limits& limits, const std::vector<std::string>& controllers) {
  Limits kept = limits;
  const auto has = [&](std::string_view name) { return std::ranges::find(controllers, name) != controllers.end(); };
  if (!has("memory")) {
    kept.memory_bytes.reset();
    kept.memory_swap_bytes.reset();
    kept.memory_high_bytes.reset();
    kept.oom_group.reset();
  }
  if (!has("cpu")) {
    kept.cpu_quota_us.reset();
    kept.cpu_weight.reset();
    kept.cpu_shares.reset();
  }
  if (!has("cpuset")) kept.cpuset_cpus.reset();
  if (!has("pids")) kept.pids.reset();
  if (!has("io")) {
    kept.io_max.clear();
    kept.io_weight.reset();
  }
  if (limits.asked_by == AskedBy::kConfig) keep_config_only(kept, controllers);
  return kept;
}

std::string_view v1_name(std::string_view controller) {
  return controller == "io" ? "blkio" : controller;
}

// The line from the least to the greatest, which runc and crun used until 2025, made the default of one (1024) a small value of
// the other (39). They and the Kubernetes node agent now use this curve; it meets (2, 1), (1024, 100) and (262144, 10000).
std::uint32_t weight_of_shares(std::uint64_t shares) {
  if (shares <= 2) return 1;
  if (shares >= 262'144) return 10'000;
  const double power = std::log2(static_cast<double>(shares));
  const double exponent = (power * power + 125 * power) / 612.0 - 7.0 / 34.0;
  return static_cast<std::uint32_t>(std::clamp(std::ceil(std::pow(10, exponent)), 1.0, 10'000.0));
}

std::uint64_t shares_of_weight(std::uint32_t weight) {
  return std::clamp<std::uint64_t>(std::uint64_t{weight} * 1024 / 100, 2, 262'144);
}

}  // namespace clawrun::cgroup
