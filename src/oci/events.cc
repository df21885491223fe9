#include "oci/events.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string_view>
#include <vector>

#include "base/text.h"
#include "cgroup/limits.h"

namespace clawrun::oci {

namespace {

// In the order in which the members are written, which people compare.
using Json = nlohmann::ordered_json;

constexpr std::uint64_t kNsPerUs = 1000;

// Members that are 0 are left out where the others of this shape leave them out.
void add(Json& json, const char* key, const std::optional<std::uint64_t>& value) {
  if (value.value_or(0) != 0) json[key] = *value;
}

std::optional<std::uint64_t> ns(const std::optional<std::uint64_t>& us) {
  return us ? std::optional(*us * kNsPerUs) : std::nullopt;
}

Json pressure_line(const cgroup::PressureLine& line) {
  return {{"avg10", line.average_10}, {"avg60", line.average_60}, {"avg300", line.average_300}, {"total", line.total_us}};
}

void add_pressure(Json& json, const std::optional<cgroup::PressureDetails>& pressure) {
  if (pressure) json["psi"] = {{"some", pressure_line(pressure->some)}, {"full", pressure_line(pressure->full)}};
}

Json cpu_json(const cgroup::Details& details) {
  const cgroup::Usage& usage = details.usage;
  Json counted = Json::object();
  add(counted, "total", ns(usage.cpu_us));
  if (!details.percpu_ns.empty()) counted["percpu"] = details.percpu_ns;
  if (!details.percpu_kernel_ns.empty()) counted["percpu_kernel"] = details.percpu_kernel_ns;
  if (!details.percpu_user_ns.empty()) counted["percpu_user"] = details.percpu_user_ns;
  counted["kernel"] = ns(usage.cpu_system_us).value_or(0);
  counted["user"] = ns(usage.cpu_user_us).value_or(0);
  Json throttling = Json::object();
  add(throttling, "periods", usage.cpu_periods);
  add(throttling, "throttledPeriods", usage.cpu_throttled_periods);
  add(throttling, "throttledTime", ns(usage.cpu_throttled_us));
  Json json = {{"usage", std::move(counted)}, {"throttling", std::move(throttling)}};
  add_pressure(json, details.cpu_pressure);
  return json;
}

// "0-2,7" as numbers.
std::vector<std::uint64_t> numbers_of(std::string_view list) {
  constexpr std::uint64_t kMost = 65535;
  std::vector<std::uint64_t> numbers;
  for (const std::string_view range : split(list, ',')) {
    const auto ends = split(range, '-');
    const auto first = parse_unsigned(ends.front(), kMost);
    const auto last = parse_unsigned(ends.back(), kMost);
    if (!first || !last || numbers.size() > kMost) continue;
    for (std::uint64_t i = *first; i <= *last; ++i) numbers.push_back(i);
  }
  return numbers;
}

Json cpuset_json(const cgroup::Details& details) {
  const auto flag = [&](const char* name) -> std::uint64_t {
    const auto found = details.cpuset_flags.find(name);
    return found == details.cpuset_flags.end() ? 0 : found->second;
  };
  Json json = Json::object();
  if (!details.cpuset_cpus.empty()) json["cpus"] = numbers_of(details.cpuset_cpus);
  json["cpu_exclusive"] = flag("cpu_exclusive");
  if (!details.cpuset_mems.empty()) json["mems"] = numbers_of(details.cpuset_mems);
  for (const char* name : {"mem_hardwall", "mem_exclusive", "memory_migrate", "memory_spread_page", "memory_spread_slab",
                           "memory_pressure", "sched_load_balance"})
    json[name] = flag(name);
  // -1, "as the kernel has it", is the only one below 0.
  const std::uint64_t level = flag("sched_relax_domain_level");
  json["sched_relax_domain_level"] = level == UINT64_MAX ? std::int64_t{-1} : static_cast<std::int64_t>(level);
  return json;
}

Json memory_count(const cgroup::MemoryCount& count) {
  Json json = {{"limit", count.limit_bytes.value_or(0)}};
  add(json, "usage", count.bytes);
  add(json, "max", count.peak_bytes);
  json["failcnt"] = count.failures.value_or(0);
  return json;
}

Json memory_json(const cgroup::Details& details) {
  Json json = Json::object();
  const auto cache = details.memory_stat.find(details.is_v2 ? "file" : "cache");
  if (cache != details.memory_stat.end()) add(json, "cache", cache->second);
  json["usage"] = memory_count(details.memory);
  json["swap"] = memory_count(details.memory_and_swap);
  json["kernel"] = memory_count(details.kernel_memory);
  json["kernelTCP"] = memory_count(details.tcp_memory);
  if (!details.memory_stat.empty()) json["raw"] = details.memory_stat;
  add_pressure(json, details.memory_pressure);
  return json;
}

Json pids_json(const cgroup::Usage& usage) {
  Json json = Json::object();
  add(json, "current", usage.pids);
  // "max" is 0 there.
  if (usage.pids_limit != cgroup::kUnlimited) add(json, "limit", usage.pids_limit);
  return json;
}

void add_entries(Json& json, const char* key, const std::vector<cgroup::BlkioEntry>& entries) {
  for (const cgroup::BlkioEntry& entry : entries) {
    Json one = Json::object();
    add(one, "major", entry.major);
    add(one, "minor", entry.minor);
    if (!entry.operation.empty()) one["op"] = entry.operation;
    add(one, "value", entry.value);
    json[key].push_back(std::move(one));
  }
}

Json blkio_json(const cgroup::Details& details) {
  Json json = Json::object();
  add_entries(json, "ioServiceBytesRecursive", details.io_service_bytes);
  add_entries(json, "ioServicedRecursive", details.io_serviced);
  add_pressure(json, details.io_pressure);
  return json;
}

Json hugetlb_json(const cgroup::Details& details) {
  Json json = Json::object();
  for (const auto& [size, count] : details.hugetlb) {
    Json one = Json::object();
    add(one, "usage", count.bytes);
    add(one, "max", count.peak_bytes);
    one["failcnt"] = count.failures;
    json[size] = std::move(one);
  }
  return json;
}

void add(Json& json, const char* key, const std::string& text) {
  if (!text.empty()) json[key] = text;
}

Json rdt_json(const resctrl::Stats& stats) {
  Json json = Json::object();
  if (stats.cache) {
    Json info = Json::object();
    add(info, "cbm_mask", stats.cache->mask);
    add(info, "min_cbm_bits", stats.cache->least_bits);
    add(info, "num_closids", stats.cache->groups);
    json["l3_cache_info"] = std::move(info);
  }
  add(json, "l3_cache_schema_root", stats.cache_root_line);
  add(json, "l3_cache_schema", stats.cache_line);
  if (stats.bandwidth) {
    Json info = Json::object();
    add(info, "bandwidth_gran", stats.bandwidth->step);
    add(info, "delay_linear", stats.bandwidth->linear);
    add(info, "min_bandwidth", stats.bandwidth->least);
    add(info, "num_closids", stats.bandwidth->groups);
    json["mem_bw_info"] = std::move(info);
  }
  add(json, "mem_bw_schema_root", stats.bandwidth_root_line);
  add(json, "mem_bw_schema", stats.bandwidth_line);
  for (const resctrl::Use& use : stats.uses) {
    Json bandwidth = Json::object();
    add(bandwidth, "mbm_total_bytes", use.total_bytes);
    add(bandwidth, "mbm_local_bytes", use.local_bytes);
    if (stats.counts_bandwidth) json["mbm_stats"].push_back(std::move(bandwidth));
    Json occupancy = Json::object();
    add(occupancy, "llc_occupancy", use.occupied_bytes);
    if (stats.counts_occupancy) json["cmt_stats"].push_back(std::move(occupancy));
  }
  return json;
}

std::string line(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace

std::string stats_json(const std::string& id, const cgroup::Details& details, const std::optional<resctrl::Stats>& rdt) {
  Json data = Json::object();
  data["cpu"] = cpu_json(details);
  data["cpuset"] = cpuset_json(details);
  data["memory"] = memory_json(details);
  data["pids"] = pids_json(details.usage);
  data["blkio"] = blkio_json(details);
  data["hugetlb"] = hugetlb_json(details);
  data["intel_rdt"] = rdt ? rdt_json(*rdt) : Json::object();
  data["network_interfaces"] = nullptr;
  return line({{"type", "stats"}, {"id", id}, {"data", std::move(data)}});
}

std::string oom_json(const std::string& id) {
  return line({{"type", "oom"}, {"id", id}});
}

}  // namespace clawrun::oci
