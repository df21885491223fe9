#include <algorithm>

#include "oci/parse.h"

namespace clawrun::oci {

namespace {

// dev_t inside the kernel: 12 bits and 20 bits.
constexpr std::int64_t kMaxMajor = (std::int64_t{1} << 12U) - 1;
constexpr std::int64_t kMaxMinor = (std::int64_t{1} << 20U) - 1;

// Go's encoders cannot tell an unset number from 0, and Docker writes 0 for all that nobody has set; 0 is no sensible limit for
// any of those that this is used for.
template <typename T, typename... Range>
Result<> read_unless_zero(const JsonObject& object, std::string_view key, std::optional<T>& target, Range... range) {
  const auto member = object.find(key);
  if (!member) return {};
  T number = 0;
  TRY(read(*member, number));
  if (number == 0) return {};
  if constexpr (sizeof...(range) != 0) TRY(read(*member, number, range...));
  target = number;
  return {};
}

// The kernel's own rules take no 'p', and "u" is what mknod(1) calls an unbuffered 'c'.
constexpr JsonWord<char> kRuleTypes[] = {{"a", 'a'}, {"c", 'c'}, {"b", 'b'}, {"u", 'c'}, {"", 'a'}};

Result<DeviceCgroupRule> rule_of(const JsonValue& value) {
  const JsonObject object = TRY(value.object());
  DeviceCgroupRule rule;
  TRY(read_required(object, "allow", "true or false", rule.allow));
  if (const auto type = object.find("type")) rule.type = TRY(word_of(*type, kRuleTypes));
  TRY(read_member(object, "major", rule.major, -1, kMaxMajor));
  TRY(read_member(object, "minor", rule.minor, -1, kMaxMinor));
  const auto access = object.find("access");
  if (!access) return rule;
  TRY(read(*access, rule.access));
  if (rule.access.find_first_not_of("rwm") != std::string::npos) return access->is_not("made of the letters r, w and m");
  return rule;
}

constexpr std::uint64_t kMaxSwappiness = 100;  // of the kernel's cgroup files

Result<Memory> memory_of(const JsonValue& value) {
  const JsonObject object = TRY(value.object());
  Memory memory;
  TRY(read_unless_zero(object, "limit", memory.limit, -1, INT64_MAX));
  TRY(read_unless_zero(object, "reservation", memory.reservation, -1, INT64_MAX));
  TRY(read_unless_zero(object, "swap", memory.swap, -1, INT64_MAX));
  TRY(read_unless_zero(object, "kernel", memory.kernel, -1, INT64_MAX));
  TRY(read_unless_zero(object, "kernelTCP", memory.kernel_tcp, -1, INT64_MAX));
  // UINT64_MAX is Docker's -1, for unset, on its way through an unsigned number.
  if (const auto swappiness = object.find("swappiness"); swappiness && !swappiness->unsigned_number(UINT64_MAX, UINT64_MAX))
    TRY(read(*swappiness, memory.swappiness, 0U, kMaxSwappiness));
  TRY(read_member(object, "disableOOMKiller", memory.disable_oom_killer));
  TRY(read_member(object, "useHierarchy", memory.use_hierarchy));
  TRY(read_member(object, "checkBeforeUpdate", memory.check_before_update));
  return memory;
}

Result<Cpu> cpu_of(const JsonValue& value) {
  const JsonObject object = TRY(value.object());
  Cpu cpu;
  TRY(read_unless_zero(object, "shares", cpu.shares));
  TRY(read_unless_zero(object, "quota", cpu.quota));
  // Any negative one is no limit, to the kernel and to runc.
  if (cpu.quota && *cpu.quota < 0) cpu.quota = -1;
  TRY(read_member(object, "burst", cpu.burst));
  TRY(read_unless_zero(object, "period", cpu.period));
  TRY(read_unless_zero(object, "realtimeRuntime", cpu.realtime_runtime, -1, INT64_MAX));
  TRY(read_unless_zero(object, "realtimePeriod", cpu.realtime_period));
  TRY(read_member(object, "cpus", cpu.cpus));
  TRY(read_member(object, "mems", cpu.mems));
  TRY(read_member(object, "idle", cpu.idle, 0, 1));
  return cpu;
}

template <typename Device>
Result<> read_numbers(const JsonObject& object, Device& device) {
  TRY(read_required(object, "major", "a device number", device.major, 0, kMaxMajor));
  return read_required(object, "minor", "a device number", device.minor, 0, kMaxMinor);
}

constexpr std::uint16_t kMinWeight = 10;
constexpr std::uint16_t kMaxWeight = 1000;

template <typename Weights>
Result<> read_weights(const JsonObject& object, Weights& weights) {
  TRY(read_unless_zero(object, "weight", weights.weight, kMinWeight, kMaxWeight));
  return read_unless_zero(object, "leafWeight", weights.leaf_weight, kMinWeight, kMaxWeight);
}

Result<WeightDevice> weight_device_of(const JsonValue& value) {
  const JsonObject object = TRY(value.object());
  WeightDevice device;
  TRY(read_numbers(object, device));
  TRY(read_weights(object, device));
  return device;
}

Result<ThrottleDevice> throttle_device_of(const JsonValue& value) {
  const JsonObject object = TRY(value.object());
  ThrottleDevice device;
  TRY(read_numbers(object, device));
  TRY(read_member(object, "rate", device.rate));
  return device;
}

Result<BlockIo> block_io_of(const JsonValue& value) {
  const JsonObject object = TRY(value.object());
  BlockIo block_io;
  TRY(read_weights(object, block_io));
  TRY(read_list(object, "weightDevice", "devices", block_io.weight_device, weight_device_of));
  TRY(read_list(object, "throttleReadBpsDevice", "devices", block_io.throttle_read_bps, throttle_device_of));
  TRY(read_list(object, "throttleWriteBpsDevice", "devices", block_io.throttle_write_bps, throttle_device_of));
  TRY(read_list(object, "throttleReadIOPSDevice", "devices", block_io.throttle_read_iops, throttle_device_of));
  TRY(read_list(object, "throttleWriteIOPSDevice", "devices", block_io.throttle_write_iops, throttle_device_of));
  return block_io;
}

// It becomes a part of a file's name, hugetlb.2MB.max.
bool is_page_size(std::string_view text) {
  const std::size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
  const std::string_view unit = text.substr(digits);
  return digits != 0 && text.front() != '0' && (unit == "KB" || unit == "MB" || unit == "GB");
}

Result<HugepageLimit> hugepage_limit_of(const JsonValue& value) {
  const JsonObject object = TRY(value.object());
  HugepageLimit limit;
  const JsonValue size = TRY(object.require("pageSize", "a size such as \"2MB\""));
  TRY(read(size, limit.page_size));
  if (!is_page_size(limit.page_size)) return size.is_not("a page size such as \"64KB\", \"2MB\" or \"1GB\"");
  TRY(read_required(object, "limit", "a number of bytes", limit.limit));
  return limit;
}

bool is_one_word(std::string_view text) {
  return is_file_name(text) && text.find_first_of(" \t\n\v\f\r") == std::string_view::npos;
}

Result<InterfacePriority> interface_priority_of(const JsonValue& value) {
  const JsonObject object = TRY(value.object());
  InterfacePriority priority;
  const JsonValue name = TRY(object.require("name", "the name of a network interface"));
  TRY(read(name, priority.name));
  if (!is_one_word(priority.name)) return name.is_not("the name of a network interface");
  TRY(read_required(object, "priority", "a whole number", priority.priority));
  return priority;
}

Result<Network> network_of(const JsonValue& value) {
  const JsonObject object = TRY(value.object());
  Network network;
  TRY(read_member(object, "classID", network.class_id));
  TRY(read_list(object, "priorities", "priorities", network.priorities, interface_priority_of));
  return network;
}

Result<> read_rdma(const JsonValue& value, std::map<std::string, Rdma>& target) {
  const JsonObject devices = TRY(value.object());
  for (const JsonValue member : devices.members()) {
    if (!is_one_word(member.key()) || member.key().find('\0') != std::string_view::npos)
      return member.wrong("the key is not the name of a device");
    if (member.kind() == JsonKind::kNull) continue;
    const JsonObject object = TRY(member.object());
    Rdma rdma;
    TRY(read_member(object, "hcaHandles", rdma.hca_handles));
    TRY(read_member(object, "hcaObjects", rdma.hca_objects));
    if (!rdma.hca_handles && !rdma.hca_objects) return object.wrong("neither hcaHandles nor hcaObjects is there");
    target.insert_or_assign(std::string(member.key()), rdma);
  }
  return {};
}

// CONTROLLER.PARAMETER: a file of the container's cgroup and of no other.
Result<> read_unified(const JsonValue& value, std::map<std::string, std::string>& target) {
  TRY(read(value, target));
  const JsonObject files = TRY(value.object());
  for (const JsonValue member : files.members()) {
    const std::string_view key = member.key();
    const std::size_t dot = key.find('.');
    if (!is_one_word(key) || dot == std::string_view::npos || dot == 0 || dot + 1 == key.size())
      return member.wrong("the key is not the name of a cgroup file such as \"memory.high\"");
  }
  return {};
}

}  // namespace

Result<Resources> resources_of(const JsonValue& value) {
  const JsonObject object = TRY(value.object());
  Resources resources;
  TRY(read_list(object, "devices", "device rules", resources.devices, rule_of));
  if (const auto memory = object.find("memory")) resources.memory = TRY(memory_of(*memory));
  if (const auto cpu = object.find("cpu")) resources.cpu = TRY(cpu_of(*cpu));
  if (const auto pids = object.find("pids")) {
    const JsonObject pids_object = TRY(pids->object());
    TRY(read_member(pids_object, "limit", resources.pids_limit));
  }
  if (const auto block_io = object.find("blockIO")) resources.block_io = TRY(block_io_of(*block_io));
  TRY(read_list(object, "hugepageLimits", "limits", resources.hugepage_limits, hugepage_limit_of));
  if (const auto network = object.find("network")) resources.network = TRY(network_of(*network));
  if (const auto rdma = object.find("rdma")) TRY(read_rdma(*rdma, resources.rdma));
  if (const auto unified = object.find("unified")) TRY(read_unified(*unified, resources.unified));
  return resources;
}

}  // namespace clawrun::oci
