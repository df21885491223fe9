#include "cgroup/usage.h"

#include <algorithm>

#include "base/text.h"
#include "cgroup/files.h"
#include "cgroup/limits.h"
#include "cgroup/location.h"

namespace clawrun::cgroup {

namespace {

using Number = std::optional<std::uint64_t>;

struct NumberRow {
  const char* file;
  const char* key;  // nullptr: the file holds the number alone
  Number Usage::*member;
  std::uint64_t divisor = 1;
};

constexpr NumberRow kV2[] = {
    {"memory.current", nullptr, &Usage::memory_bytes},
    {"memory.peak", nullptr, &Usage::memory_peak_bytes},
    {"memory.max", nullptr, &Usage::memory_limit_bytes},
    {"memory.swap.current", nullptr, &Usage::swap_bytes},
    {"memory.events", "oom_kill", &Usage::oom_kills},
    {"cpu.stat", "usage_usec", &Usage::cpu_us},
    {"cpu.stat", "user_usec", &Usage::cpu_user_us},
    {"cpu.stat", "system_usec", &Usage::cpu_system_us},
    {"cpu.stat", "nr_periods", &Usage::cpu_periods},
    {"cpu.stat", "nr_throttled", &Usage::cpu_throttled_periods},
    {"cpu.stat", "throttled_usec", &Usage::cpu_throttled_us},
    {"pids.current", nullptr, &Usage::pids},
    {"pids.peak", nullptr, &Usage::pids_peak},
    {"pids.max", nullptr, &Usage::pids_limit},
    {"pids.events", "max", &Usage::pids_limit_hits},
};

constexpr NumberRow kV1[] = {
    {"memory.usage_in_bytes", nullptr, &Usage::memory_bytes},
    {"memory.max_usage_in_bytes", nullptr, &Usage::memory_peak_bytes},
    {"memory.limit_in_bytes", nullptr, &Usage::memory_limit_bytes},
    {"memory.oom_control", "oom_kill", &Usage::oom_kills},
    {"cpuacct.usage", nullptr, &Usage::cpu_us, 1000},
    {"cpuacct.usage_user", nullptr, &Usage::cpu_user_us, 1000},
    {"cpuacct.usage_sys", nullptr, &Usage::cpu_system_us, 1000},
    {"cpu.stat", "nr_periods", &Usage::cpu_periods},
    {"cpu.stat", "nr_throttled", &Usage::cpu_throttled_periods},
    {"cpu.stat", "throttled_time", &Usage::cpu_throttled_us, 1000},
    {"pids.current", nullptr, &Usage::pids},
    {"pids.peak", nullptr, &Usage::pids_peak},
    {"pids.max", nullptr, &Usage::pids_limit},
    {"pids.events", "max", &Usage::pids_limit_hits},
};

// Files of several numbers are neighbours in the tables: each is read once.
void read_numbers(int directory, std::span<const NumberRow> rows, Usage& usage) {
  std::string_view file;
  std::string text;
  for (const NumberRow& row : rows) {
    if (row.file != file) {
      file = row.file;
      auto read = read_control(directory, row.file);
      text = read ? std::move(*read) : std::string();
    }
    std::string_view whole = text;
    if (whole.ends_with('\n')) whole.remove_suffix(1);
    Number value;
    if (row.key != nullptr)
      value = flat_keyed(text, row.key);
    else if (whole == "max")
      value = kUnlimited;
    else if (const auto number = parse_unsigned(whole))
      value = *number;
    if (value) usage.*row.member = *value == kUnlimited ? kUnlimited : *value / row.divisor;
  }
}

IoUsage& device_in(std::vector<IoUsage>& io, std::string_view device) {
  const auto found = std::ranges::find(io, device, &IoUsage::device);
  if (found != io.end()) return *found;
  io.push_back({std::string(device), 0, 0, 0, 0});
  return io.back();
}

// "8:0 rbytes=1 wbytes=2 rios=3 wios=4 …"
void read_io_v2(int directory, Usage& usage) {
  const auto text = read_control(directory, "io.stat");
  if (!text) return;
  usage.has_io = true;
  for (const std::string_view line : split(*text, '\n')) {
    const auto words = split(line, ' ');
    if (words.size() < 2) continue;
    IoUsage& device = device_in(usage.io, words[0]);
    for (const std::string_view word : words) {
      const std::size_t equals = word.find('=');
      if (equals == std::string_view::npos) continue;
      const std::uint64_t value = parse_unsigned(word.substr(equals + 1)).value_or(0);
      const std::string_view key = word.substr(0, equals);
      if (key == "rbytes") device.read_bytes = value;
      if (key == "wbytes") device.written_bytes = value;
      if (key == "rios") device.reads = value;
      if (key == "wios") device.writes = value;
    }
  }
}

// "8:0 Read 4096"
void read_io_v1(int directory, Usage& usage) {
  constexpr struct {
    const char* file;
    std::uint64_t IoUsage::*read;
    std::uint64_t IoUsage::*write;
  } kFiles[] = {{"blkio.throttle.io_service_bytes", &IoUsage::read_bytes, &IoUsage::written_bytes},
                {"blkio.throttle.io_serviced", &IoUsage::reads, &IoUsage::writes}};
  for (const auto& row : kFiles) {
    const auto text = read_control(directory, row.file);
    if (!text) continue;
    usage.has_io = true;
    for (const std::string_view line : split(*text, '\n')) {
      const auto words = split(line, ' ');
      if (words.size() != 3 || (words[1] != "Read" && words[1] != "Write")) continue;
      device_in(usage.io, words[0]).*(words[1] == "Read" ? row.read : row.write) = parse_unsigned(words[2]).value_or(0);
    }
  }
}

// "some avg10=0.00 avg60=0.00 avg300=0.00 total=123"
std::optional<Pressure> read_pressure(int directory, const char* file) {
  const auto text = read_control(directory, file);
  if (!text) return std::nullopt;
  Pressure pressure;
  for (const std::string_view line : split(*text, '\n')) {
    const std::size_t total = line.find("total=");
    if (total == std::string_view::npos) continue;
    const std::uint64_t value = parse_unsigned(line.substr(total + 6)).value_or(0);
    (line.starts_with("some") ? pressure.some_us : pressure.full_us) = value;
  }
  return pressure;
}

void read_v2(int directory, Usage& usage) {
  read_numbers(directory, kV2, usage);
  read_io_v2(directory, usage);
  usage.cpu_pressure = read_pressure(directory, "cpu.pressure");
  usage.memory_pressure = read_pressure(directory, "memory.pressure");
  usage.io_pressure = read_pressure(directory, "io.pressure");
  if (const auto events = read_control(directory, "cgroup.events"))
    if (const auto frozen = flat_keyed(*events, "frozen")) usage.frozen = *frozen == 1;
}

void read_v1(int directory, Usage& usage) {
  read_numbers(directory, kV1, usage);
  // "No limit" is the largest multiple of a page there.
  constexpr std::uint64_t kHuge = 1ULL << 62U;
  if (usage.memory_limit_bytes && *usage.memory_limit_bytes > kHuge) usage.memory_limit_bytes = kUnlimited;
  const auto both = read_number(directory, "memory.memsw.usage_in_bytes");
  if (both && usage.memory_bytes) usage.swap_bytes = *both > *usage.memory_bytes ? *both - *usage.memory_bytes : 0;
  read_io_v1(directory, usage);
  if (const auto state = read_control(directory, "freezer.state"))
    usage.frozen = usage.frozen.value_or(false) || state->starts_with("FROZEN");
}

}  // namespace

Result<Usage> read_usage(const Location& location) {
  Usage usage;
  bool found = false;
  if (!location.v2.path.empty())
    if (const auto directory = open_directory(location.v2.path)) {
      found = true;
      read_v2(directory->get(), usage);
    }
  for (const Location::Directory& leaf : location.v1)
    if (const auto directory = open_directory(leaf.path)) {
      found = true;
      read_v1(directory->get(), usage);
    }
  if (!found) return fail(ErrorKind::kNotFound, "the sandbox's cgroup is gone");
  return usage;
}

std::uint64_t oom_kills(const Location& location) {
  const auto kills = [](const std::string& path, const char* file) -> std::uint64_t {
    const auto directory = open_directory(path);
    if (!directory) return 0;
    const auto text = read_control(directory->get(), file);
    return text ? flat_keyed(*text, "oom_kill").value_or(0) : 0;
  };
  std::uint64_t total = location.v2.path.empty() ? 0 : kills(location.v2.path, "memory.events");
  for (const Location::Directory& leaf : location.v1)
    if (std::ranges::find(leaf.controllers, "memory") != leaf.controllers.end()) total += kills(leaf.path, "memory.oom_control");
  return total;
}

}  // namespace clawrun::cgroup
