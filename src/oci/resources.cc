#include "oci/resources.h"

#include <algorithm>
#include <limits>

#include "base/text.h"
#include "cgroup/writes.h"

namespace clawrun::oci {

namespace {

using cgroup::kUnlimited;
using cgroup::Limits;

constexpr std::uint32_t kLeastWeight = 10;
constexpr std::uint32_t kMostWeight = 1000;

Failure invalid(const std::string& path, const std::string& reason) {
  return fail(ErrorKind::kInvalid, "linux.resources." + path + ": " + reason);
}

// Nothing for 0 and for what is not there.
std::optional<std::uint64_t> limit_of(const std::optional<std::int64_t>& value) {
  if (value.value_or(0) == 0) return std::nullopt;
  return *value < 0 ? kUnlimited : static_cast<std::uint64_t>(*value);
}

std::optional<std::uint64_t> unless_zero(const std::optional<std::uint64_t>& value) {
  return value.value_or(0) == 0 ? std::nullopt : value;
}

Result<> take_swap(const Memory& memory, LimitsFor what_for, Limits& into) {
  into.memory_and_swap_bytes = limit_of(memory.swap);
  // As cgroup v1 has it: where memory has no limit, the two together have none.
  if (!into.memory_and_swap_bytes && into.memory_bytes == kUnlimited) into.memory_swap_bytes = kUnlimited;
  if (!into.memory_and_swap_bytes) return {};
  // A running container has a limit already, which is not known here.
  if (!into.memory_bytes && what_for == LimitsFor::kUpdate) return {};
  return cgroup::settle_swap(into, std::nullopt);
}

Result<> take_memory(const Memory& memory, LimitsFor what_for, Limits& into) {
  for (const auto& [name, value] : {std::pair{"limit", memory.limit}, std::pair{"reservation", memory.reservation},
                                    std::pair{"swap", memory.swap}, std::pair{"kernelTCP", memory.kernel_tcp}})
    if (value && *value < -1)
      return invalid(std::string("memory.") + name, std::to_string(*value) + ": a number of bytes, or -1 for no limit");
  into.memory_bytes = limit_of(memory.limit);
  into.memory_low_bytes = limit_of(memory.reservation);
  into.memory_tcp_bytes = limit_of(memory.kernel_tcp);
  into.oom_kill_disabled = memory.disable_oom_killer;
  into.memory_checks_usage = memory.check_before_update.value_or(false);
  TRY(take_swap(memory, what_for, into));
  // -1 as an unsigned number is what engines write for "not given".
  if (!memory.swappiness || *memory.swappiness == std::numeric_limits<std::uint64_t>::max()) return {};
  if (*memory.swappiness > 100)
    return invalid("memory.swappiness", std::to_string(*memory.swappiness) + ": 0 to 100 are allowed");
  into.swappiness = memory.swappiness;
  return {};
}

// "0-2,7", with or without blanks at its ends.
Result<> check_list(const std::string& list, const char* path) {
  for (std::string_view range : split(list, ',')) {
    while (range.ends_with('\n') || range.ends_with(' ')) range.remove_suffix(1);
    while (range.starts_with(' ')) range.remove_prefix(1);
    // A stride, "0-6:2/4", is for the kernel to judge.
    range = range.substr(0, range.find(':'));
    const std::size_t dash = range.find('-');
    const auto first = parse_unsigned(range.substr(0, dash), 65535);
    const auto last = dash == std::string_view::npos ? first : parse_unsigned(range.substr(dash + 1), 65535);
    if (!first || !last || *first > *last)
      return invalid(path, quoted(std::string_view(list).substr(0, 200)) + ": numbers and ranges such as 0-2,7 are expected");
  }
  return {};
}

Result<> take_cpu(const Cpu& cpu, Limits& into) {
  into.cpu_shares = unless_zero(cpu.shares);
  if (into.cpu_shares) into.cpu_weight = cgroup::weight_of_shares(*into.cpu_shares);
  into.cpu_quota_us = limit_of(cpu.quota);
  into.cpu_named_period_us = unless_zero(cpu.period);
  if (into.cpu_named_period_us) into.cpu_period_us = *into.cpu_named_period_us;
  into.cpu_burst_us = cpu.burst;
  if (cpu.burst && into.cpu_quota_us && *cpu.burst > *into.cpu_quota_us)
    return invalid("cpu.burst",
                   std::to_string(*cpu.burst) + ": it may not be above cpu.quota, " + std::to_string(*into.cpu_quota_us));
  into.cpu_rt_period_us = unless_zero(cpu.realtime_period);
  if (cpu.realtime_runtime.value_or(0) != 0) into.cpu_rt_runtime_us = cpu.realtime_runtime;
  if (cpu.idle && *cpu.idle != 0 && *cpu.idle != 1)
    return invalid("cpu.idle", std::to_string(*cpu.idle) + ": 0 and 1 are allowed");
  if (cpu.idle) into.cpu_idle = *cpu.idle == 1;
  if (!cpu.cpus.empty()) {
    TRY(check_list(cpu.cpus, "cpu.cpus"));
    into.cpuset_cpus = cpu.cpus;
  }
  if (!cpu.mems.empty()) {
    TRY(check_list(cpu.mems, "cpu.mems"));
    into.cpuset_mems = cpu.mems;
  }
  return {};
}

Result<std::optional<std::uint32_t>> weight_of(const std::optional<std::uint16_t>& value, const std::string& path) {
  if (value.value_or(0) == 0) return std::nullopt;
  if (*value < kLeastWeight || *value > kMostWeight) return invalid(path, std::to_string(*value) + ": 10 to 1000 are allowed");
  return *value;
}

Result<std::string> device_name(std::int64_t major, std::int64_t minor, const std::string& path) {
  if (major < 0 || minor < 0 || major > INT32_MAX || minor > INT32_MAX)
    return invalid(path, std::to_string(major) + ":" + std::to_string(minor) + " is the number of no device");
  return std::to_string(major) + ":" + std::to_string(minor);
}

cgroup::IoMax& io_max_of(Limits& limits, const std::string& device) {
  const auto found = std::ranges::find(limits.io_max, device, &cgroup::IoMax::device);
  if (found != limits.io_max.end()) return *found;
  limits.io_max.push_back({device, std::nullopt, std::nullopt, std::nullopt, std::nullopt});
  return limits.io_max.back();
}

Result<> take_throttles(const BlockIo& io, Limits& into) {
  constexpr struct {
    const char* name;
    std::vector<ThrottleDevice> BlockIo::*list;
    std::optional<std::uint64_t> cgroup::IoMax::*rate;
  } kRows[] = {{"throttleReadBpsDevice", &BlockIo::throttle_read_bps, &cgroup::IoMax::read_bytes_per_s},
               {"throttleWriteBpsDevice", &BlockIo::throttle_write_bps, &cgroup::IoMax::write_bytes_per_s},
               {"throttleReadIOPSDevice", &BlockIo::throttle_read_iops, &cgroup::IoMax::read_operations_per_s},
               {"throttleWriteIOPSDevice", &BlockIo::throttle_write_iops, &cgroup::IoMax::write_operations_per_s}};
  for (const auto& row : kRows) {
    const std::vector<ThrottleDevice>& list = io.*row.list;
    for (std::size_t i = 0; i < list.size(); ++i) {
      const std::string path = std::string("blockIO.") + row.name + "[" + std::to_string(i) + "]";
      const std::string device = TRY(device_name(list[i].major, list[i].minor, path));
      // A rate of 0 is none.
      io_max_of(into, device).*row.rate = list[i].rate == 0 ? kUnlimited : list[i].rate;
    }
  }
  return {};
}

Result<> take_io(const BlockIo& io, Limits& into) {
  into.blkio_weight = TRY(weight_of(io.weight, "blockIO.weight"));
  into.blkio_leaf_weight = TRY(weight_of(io.leaf_weight, "blockIO.leafWeight"));
  for (std::size_t i = 0; i < io.weight_device.size(); ++i) {
    const WeightDevice& from = io.weight_device[i];
    const std::string path = "blockIO.weightDevice[" + std::to_string(i) + "]";
    cgroup::DeviceWeight device;
    device.device = TRY(device_name(from.major, from.minor, path));
    device.weight = TRY(weight_of(from.weight, path + ".weight"));
    device.leaf_weight = TRY(weight_of(from.leaf_weight, path + ".leafWeight"));
    if (device.weight || device.leaf_weight) into.blkio_device_weights.push_back(std::move(device));
  }
  return take_throttles(io, into);
}

// The size becomes a part of a file's name: "64KB", "2MB", "1GB", as the kernel writes them.
Result<> take_hugepages(const std::vector<HugepageLimit>& limits, Limits& into) {
  for (std::size_t i = 0; i < limits.size(); ++i) {
    const std::string& size = limits[i].page_size;
    const bool has_unit = size.size() >= 3 && (size.ends_with("KB") || size.ends_with("MB") || size.ends_with("GB"));
    if (!has_unit || size[0] == '0' || !parse_unsigned(std::string_view(size).substr(0, size.size() - 2)))
      return invalid("hugepageLimits[" + std::to_string(i) + "].pageSize",
                     quoted(std::string_view(size).substr(0, 100)) + ": a size such as 2MB or 1GB is expected");
    into.hugetlb.push_back({size, limits[i].limit});
  }
  return {};
}

bool is_word(std::string_view text) {
  return !text.empty() && text.size() < 256 && std::ranges::all_of(text, [](char c) { return c > ' ' && c < 0x7f; });
}

Result<> take_network(const Network& network, Limits& into) {
  if (network.class_id.value_or(0) != 0) into.net_class_id = network.class_id;
  for (std::size_t i = 0; i < network.priorities.size(); ++i) {
    const InterfacePriority& from = network.priorities[i];
    if (!is_word(from.name))
      return invalid("network.priorities[" + std::to_string(i) + "].name", quoted(from.name.substr(0, 100)) + " is no interface");
    into.net_priorities.push_back({from.name, from.priority});
  }
  return {};
}

Result<> take_rdma(const std::map<std::string, Rdma>& devices, Limits& into) {
  for (const auto& [name, limit] : devices) {
    if (!is_word(name)) return invalid("rdma", quoted(name.substr(0, 100)) + " is no device");
    if (limit.hca_handles || limit.hca_objects) into.rdma.push_back({name, limit.hca_handles, limit.hca_objects});
  }
  return {};
}

// A key is a file of the group, and one that limits: never one that moves, kills or divides.
Result<> take_unified(const std::map<std::string, std::string>& files, Limits& into) {
  for (const auto& [file, value] : files) {
    const std::string path = "unified." + shown(std::string_view(file).substr(0, 100));
    if (file.find('/') != std::string::npos)
      return invalid(path, "unified resource " + quoted(file.substr(0, 100)) + " must be a file name (no slashes)");
    const std::size_t dot = file.find('.');
    if (!is_word(file) || dot == std::string::npos || dot == 0)
      return invalid(path, "unified resource " + quoted(file.substr(0, 100)) + " must be in the form CONTROLLER.PARAMETER");
    if (file.starts_with("cgroup.") && !file.starts_with("cgroup.max.") && file != "cgroup.pressure")
      return invalid(path,
                     "this file limits nothing; of those of cgroup itself cgroup.max.depth, cgroup.max.descendants and "
                     "cgroup.pressure are allowed");
    into.unified.emplace_back(file, value);
  }
  return {};
}

Result<std::optional<std::uint32_t>> device_number(const std::optional<std::int64_t>& value, const std::string& path) {
  if (value.value_or(-1) == -1) return std::nullopt;
  if (*value < 0 || *value > UINT32_MAX)
    return invalid(path, std::to_string(*value) + ": a number of at least 0, or -1 for any, is expected");
  return static_cast<std::uint32_t>(*value);
}

Result<> take_device(const DeviceCgroupRule& from, const std::string& path, std::vector<cgroup::DeviceRule>& into) {
  cgroup::DeviceRule rule{.allow = from.allow, .type = from.type};
  rule.major = TRY(device_number(from.major, path + ".major"));
  rule.minor = TRY(device_number(from.minor, path + ".minor"));
  if (from.access.find_first_not_of("rwm") != std::string::npos)
    return invalid(path + ".access", quoted(from.access.substr(0, 100)) + ": the letters r, w and m are allowed");
  if (!from.access.empty()) {
    rule.read = from.access.find('r') != std::string::npos;
    rule.write = from.access.find('w') != std::string::npos;
    rule.mknod = from.access.find('m') != std::string::npos;
  }
  if (from.type != 'a' && from.type != 'b' && from.type != 'c')
    return invalid(path + ".type", quoted({&from.type, 1}) + ": \"a\", \"b\" and \"c\" are allowed");
  // Numbers of devices of either type.
  const bool is_pair = rule.type == 'a' && (rule.major || rule.minor);
  if (is_pair) rule.type = 'c';
  into.push_back(rule);
  if (is_pair) rule.type = 'b';
  if (is_pair) into.push_back(rule);
  return {};
}

// runtime-spec config-linux.md, "Default Devices", and nodes of any device, which are names alone where the device is denied.
void add_default_devices(std::vector<cgroup::DeviceRule>& into) {
  struct Node {
    std::uint32_t major;
    std::optional<std::uint32_t> minor;
  };
  constexpr Node kNodes[] = {
      {1, 3}, {1, 5}, {1, 7}, {1, 8},
      {1, 9},                                       // null, zero, full, random, urandom
      {5, 0}, {5, 1}, {5, 2}, {136, std::nullopt},  // tty, console, ptmx, pts
  };
  for (const char type : {'c', 'b'}) into.push_back({.type = type, .read = false, .write = false});
  for (const Node& node : kNodes) into.push_back({.type = 'c', .major = node.major, .minor = node.minor});
}

Result<> take_devices(const std::vector<DeviceCgroupRule>& devices, Limits& into) {
  std::vector<cgroup::DeviceRule> rules;
  for (std::size_t i = 0; i < devices.size(); ++i) TRY(take_device(devices[i], "devices[" + std::to_string(i) + "]", rules));
  add_default_devices(rules);
  into.devices = std::move(rules);
  return {};
}

}  // namespace

Result<cgroup::Limits> limits_of(const Resources& resources, LimitsFor what_for) {
  Limits limits;
  limits.asked_by = cgroup::AskedBy::kConfig;
  if (resources.memory) TRY(take_memory(*resources.memory, what_for, limits));
  if (resources.cpu) TRY(take_cpu(*resources.cpu, limits));
  limits.pids = limit_of(resources.pids_limit);
  if (resources.block_io) TRY(take_io(*resources.block_io, limits));
  TRY(take_hugepages(resources.hugepage_limits, limits));
  if (resources.network) TRY(take_network(*resources.network, limits));
  TRY(take_rdma(resources.rdma, limits));
  TRY(take_unified(resources.unified, limits));
  if (what_for == LimitsFor::kCreate) TRY(take_devices(resources.devices, limits));
  return limits;
}

std::vector<std::pair<std::string, std::string>> systemd_properties_of(const std::map<std::string, std::string>& annotations) {
  constexpr std::string_view kPrefix = "org.systemd.property.";
  std::vector<std::pair<std::string, std::string>> properties;
  for (const auto& [name, value] : annotations)
    if (name.starts_with(kPrefix) && name.size() > kPrefix.size()) properties.emplace_back(name.substr(kPrefix.size()), value);
  return properties;
}

}  // namespace clawrun::oci
