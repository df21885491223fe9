#include "cgroup/systemd_properties.h"

#include <algorithm>

#include "base/text.h"
#include "cgroup/device_table.h"
#include "cgroup/writes.h"

namespace clawrun::cgroup {

namespace {

constexpr std::uint64_t kSecondUs = 1'000'000;
// systemd before 253 keeps CPUQuota= of a transient unit in whole percent, rounded down, and reads that after a daemon-reload;
// less than one percent then counts as no limit at all.
constexpr std::uint64_t kPercentUs = kSecondUs / 100;
constexpr std::uint64_t kMaxCpu = 8191;  // CONFIG_NR_CPUS is at most 8192

struct PlainRow {
  const char* name;
  std::optional<std::uint64_t> Limits::*limit;
  std::uint64_t least;  // that systemd takes
};
constexpr PlainRow kPlain[] = {
    {"MemoryMax", &Limits::memory_bytes, 1},
    {"MemoryHigh", &Limits::memory_high_bytes, 1},
    {"MemoryLow", &Limits::memory_low_bytes, 0},
    {"MemorySwapMax", &Limits::memory_swap_bytes, 0},
    {"TasksMax", &Limits::pids, 1},
};

void add_plain(const Limits& limits, SystemdProperties& into) {
  for (const PlainRow& row : kPlain) {
    const std::optional<std::uint64_t>& limit = limits.*row.limit;
    if (!limit) continue;
    // "infinity" is the largest number there too.
    into.properties.push_back({row.name, unit_number('t', std::max(*limit, row.least))});
    if (*limit < row.least) into.direct.*row.limit = limit;
  }
  // A group that is idle has no weight.
  if (limits.cpu_weight && !limits.cpu_idle.value_or(false))
    into.properties.push_back({"CPUWeight", unit_number('t', *limits.cpu_weight)});
  if (limits.io_weight) into.properties.push_back({"IOWeight", unit_number('t', *limits.io_weight)});
  if (limits.blkio_weight) into.properties.push_back({"IOWeight", unit_number('t', io_weight_of_blkio(*limits.blkio_weight))});
  into.direct.oom_group = limits.oom_group;  // OOMPolicy=kill is of services only
}

Result<> add_cpu_quota(const Limits& limits, SystemdProperties& into) {
  if (!limits.cpu_quota_us) return {};
  const std::uint64_t period = limits.cpu_period_us;
  if (period == 0 || period > kSecondUs)
    return fail(ErrorKind::kInvalid, "a CPU period of " + std::to_string(period) + " us: 1000 to 1000000 are allowed");
  std::uint64_t per_second = kUnlimited;
  if (*limits.cpu_quota_us < kUnlimited / kSecondUs) {
    const std::uint64_t exact = ((*limits.cpu_quota_us * kSecondUs) + period - 1) / period;
    per_second = (exact + kPercentUs - 1) / kPercentUs * kPercentUs;
    if (per_second != exact) {
      into.direct.cpu_quota_us = limits.cpu_quota_us;
      into.direct.cpu_period_us = period;
    }
  }
  into.properties.push_back({"CPUQuotaPerSecUSec", unit_number('t', per_second)});
  into.properties.push_back({"CPUQuotaPeriodUSec", unit_number('t', period)});
  return {};
}

// "0-2,7" as a set of bits, the lowest first, which is how systemd takes it.
Result<std::vector<std::uint8_t>> bits_of(std::string_view list) {
  std::vector<std::uint8_t> bits;
  if (list.empty()) return bits;
  for (const std::string_view range : split(list, ',')) {
    const std::size_t dash = range.find('-');
    const auto first = parse_unsigned(range.substr(0, dash), kMaxCpu);
    const auto last = dash == std::string_view::npos ? first : parse_unsigned(range.substr(dash + 1), kMaxCpu);
    if (!first || !last || *first > *last)
      return fail(ErrorKind::kInvalid, "a set of processors " + quoted(list.substr(0, 200)) +
                                           ": write numbers and ranges up to " + std::to_string(kMaxCpu) + ", such as 0-2,7");
    bits.resize(std::max<std::size_t>(bits.size(), (*last / 8) + 1));
    for (std::uint64_t cpu = *first; cpu <= *last; ++cpu)
      bits[cpu / 8] = static_cast<std::uint8_t>(bits[cpu / 8] | (1U << (cpu % 8)));
  }
  return bits;
}

Result<> add_set(const std::optional<std::string>& list, const char* name, SystemdProperties& into) {
  if (!list) return {};
  std::vector<UnitValue> bytes;
  const std::vector<std::uint8_t> bits = TRY(bits_of(*list));
  for (const std::uint8_t byte : bits) bytes.push_back(unit_number('y', byte));
  into.properties.push_back({name, unit_array("y", bytes)});
  return {};
}

// Files that a configuration names itself are written directly; these would not outlive a daemon-reload without their property.
constexpr struct {
  std::string_view file;
  const char* property;
} kUnified[] = {{"memory.min", "MemoryMin"},         {"memory.low", "MemoryLow"}, {"memory.high", "MemoryHigh"},
                {"memory.max", "MemoryMax"},         {"pids.max", "TasksMax"},    {"cpu.weight", "CPUWeight"},
                {"memory.swap.max", "MemorySwapMax"}};

void add_unified(const Limits& limits, SystemdProperties& into) {
  for (const auto& [file, value] : limits.unified) {
    std::string_view text = value;
    while (text.ends_with('\n') || text.ends_with(' ')) text.remove_suffix(1);
    const auto number = parse_unsigned(text);
    const bool is_max = text == "max" && file != "cpu.weight";
    for (const auto& row : kUnified)
      if (row.file == file && (number || is_max))
        into.properties.push_back({row.property, unit_number('t', is_max ? kUnlimited : *number)});
  }
}

// What systemd has no property for.
void add_direct(const Limits& limits, Limits& direct) {
  direct.cpu_named_period_us = limits.cpu_named_period_us;
  direct.cpu_quota_us = limits.cpu_quota_us;
  direct.cpu_period_us = limits.cpu_period_us;
  direct.cpu_burst_us = limits.cpu_burst_us;
  direct.cpu_idle = limits.cpu_idle;
  // These systemd takes whatever the kernel says of them.
  direct.cpuset_cpus = limits.cpuset_cpus;
  direct.cpuset_mems = limits.cpuset_mems;
  direct.io_max = limits.io_max;
  direct.blkio_weight = limits.blkio_weight;
  direct.blkio_device_weights = limits.blkio_device_weights;
  direct.hugetlb = limits.hugetlb;
  direct.rdma = limits.rdma;
  direct.unified = limits.unified;
}

struct IoRow {
  const char* name;
  std::optional<std::uint64_t> IoMax::*limit;
};
constexpr IoRow kIo[] = {
    {"IOReadBandwidthMax", &IoMax::read_bytes_per_s},
    {"IOWriteBandwidthMax", &IoMax::write_bytes_per_s},
    {"IOReadIOPSMax", &IoMax::read_operations_per_s},
    {"IOWriteIOPSMax", &IoMax::write_operations_per_s},
};

bool is_device_number(std::string_view device) {
  const auto parts = split(device, ':');
  return parts.size() == 2 && parse_unsigned(parts[0], kMaxMajor) && parse_unsigned(parts[1], kMaxMinor);
}

Result<> add_io_max(const Limits& limits, SystemdProperties& into) {
  for (const IoMax& limit : limits.io_max)
    if (!is_device_number(limit.device))
      return fail(ErrorKind::kInvalid, "a device " + quoted(limit.device) + " with a limit: MAJOR:MINOR is expected");
  for (const IoRow& row : kIo) {
    std::vector<UnitValue> devices;
    for (const IoMax& limit : limits.io_max)
      if (limit.*row.limit) {
        const UnitValue pair[] = {unit_text("/dev/block/" + limit.device), unit_number('t', *(limit.*row.limit))};
        devices.push_back(unit_struct(pair));
      }
    if (!devices.empty()) into.properties.push_back({row.name, unit_array("(st)", devices)});
  }
  return {};
}

// DeviceAllow= is a list of what is granted and nothing else: a narrower entry can add to a wider one, and take nothing from it.
class DeviceList {
 public:
  void add(const DeviceTable& table, std::string_view any, std::string_view directory) {
    DeviceAccess rest = table.rest;
    // Of one minor number with any major number there is no such entry.
    for (const DeviceTable::Entry& entry : table.minors) widen(rest, entry.granted);
    allow(std::string(any) + "*", rest);
    for (const DeviceTable::Entry& entry : table.majors) {
      compare(rest, entry.granted);
      allow(std::string(any) + std::to_string(*entry.major), entry.granted);
    }
    for (const DeviceTable::Entry& entry : table.exact) {
      const auto* major = std::ranges::find(table.majors.data(), table.majors.data() + table.majors.size(), entry.major,
                                            &DeviceTable::Entry::major);
      compare(major == table.majors.data() + table.majors.size() ? rest : major->granted, entry.granted);
      allow(std::string(directory) + std::to_string(*entry.major) + ":" + std::to_string(*entry.minor), entry.granted);
    }
  }

  [[nodiscard]] bool exact() const { return exact_; }
  [[nodiscard]] UnitValue value() const { return unit_array("(ss)", entries_); }

 private:
  void widen(DeviceAccess& rest, DeviceAccess granted) {
    exact_ = false;
    rest = static_cast<DeviceAccess>(rest | granted);
  }

  void compare(DeviceAccess wider, DeviceAccess narrower) {
    if ((wider & ~narrower) != 0) exact_ = false;
  }

  void allow(const std::string& device, DeviceAccess access) {
    if (access == 0) return;
    std::string letters;
    if ((access & kRead) != 0) letters += 'r';
    if ((access & kWrite) != 0) letters += 'w';
    if ((access & kMknod) != 0) letters += 'm';
    const UnitValue pair[] = {unit_text(device), unit_text(letters)};
    entries_.push_back(unit_struct(pair));
  }

  static constexpr DeviceAccess kRead = 2;  // BPF_DEVCG_ACC_READ
  static constexpr DeviceAccess kWrite = 4;
  static_assert((kRead | kWrite) == kReadAndWrite);

  std::vector<UnitValue> entries_;
  bool exact_ = true;
};

Result<> add_devices(const Limits& limits, SystemdProperties& into) {
  if (!limits.devices) return {};
  const DeviceTables tables = TRY(tabulate(*limits.devices));
  DeviceList list;
  list.add(tables.character, "char-", "/dev/char/");
  list.add(tables.block, "block-", "/dev/block/");
  // "closed" and "auto" would grant devices that no rule names. The empty list takes back what was granted before.
  into.properties.push_back({"DevicePolicy", unit_text("strict")});
  into.properties.push_back({"DeviceAllow", unit_array("(ss)", {})});
  into.properties.push_back({"DeviceAllow", list.value()});
  if (!list.exact()) into.direct.devices = limits.devices;
  return {};
}

}  // namespace

Result<SystemdProperties> systemd_properties(const Limits& limits) {
  SystemdProperties result;
  add_plain(limits, result);
  TRY(add_cpu_quota(limits, result));
  TRY(add_set(limits.cpuset_cpus, "AllowedCPUs", result));
  TRY(add_io_max(limits, result));
  TRY(add_devices(limits, result));
  result.direct.asked_by = limits.asked_by;
  if (limits.asked_by == AskedBy::kOptions) return result;
  TRY(add_set(limits.cpuset_mems, "AllowedMemoryNodes", result));
  add_unified(limits, result);
  add_direct(limits, result.direct);
  return result;
}

}  // namespace clawrun::cgroup
