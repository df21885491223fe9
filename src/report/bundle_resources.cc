#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/text.h"
#include "cgroup/writes.h"
#include "report/bundle_parts.h"

namespace clawrun::report {

namespace {

using Json = nlohmann::ordered_json;
using cgroup::kUnlimited;
using cgroup::Limits;

// -1 lifts a limit.
Json number(std::uint64_t value) {
  return value > INT64_MAX ? Json(-1) : Json(value);
}

Json memory_json(const plan::Cgroup& cgroup, bool counts_swap) {
  const Limits& limits = cgroup.limits;
  Json json;
  if (!limits.memory_bytes) return json;
  const std::uint64_t memory = *limits.memory_bytes;
  json["limit"] = number(memory);
  if (!limits.memory_swap_bytes) return json;
  const std::uint64_t swap = *limits.memory_swap_bytes;
  if (counts_swap) json["swap"] = memory == kUnlimited || swap > kUnlimited - memory ? Json(-1) : number(memory + swap);
  // As exec does in v1, where the kernel may not count swap; v2 has no such file.
  if (swap == 0 && std::ranges::any_of(cgroup.place.v1, [](const auto& base) {
        return std::ranges::find(base.controllers, "memory") != base.controllers.end();
      }))
    json["swappiness"] = 0;
  return json;
}

Json cpu_json(const Limits& limits) {
  Json json;
  if (limits.cpu_weight) json["shares"] = limits.cpu_shares.value_or(cgroup::shares_of_weight(*limits.cpu_weight));
  if (limits.cpu_quota_us) {
    json["quota"] = number(*limits.cpu_quota_us);
    json["period"] = limits.cpu_period_us;
  }
  if (limits.cpuset_cpus) json["cpus"] = *limits.cpuset_cpus;
  return json;
}

struct RateRow {
  const char* member;
  std::optional<std::uint64_t> cgroup::IoMax::*rate;
};

constexpr RateRow kRates[] = {{"throttleReadBpsDevice", &cgroup::IoMax::read_bytes_per_s},
                              {"throttleWriteBpsDevice", &cgroup::IoMax::write_bytes_per_s},
                              {"throttleReadIOPSDevice", &cgroup::IoMax::read_operations_per_s},
                              {"throttleWriteIOPSDevice", &cgroup::IoMax::write_operations_per_s}};

Json io_json(const Limits& limits) {
  Json json;
  for (const cgroup::IoMax& limit : limits.io_max) {
    const auto numbers = split(limit.device, ':');
    for (const RateRow& row : kRates) {
      const auto& rate = limit.*row.rate;
      if (!rate || *rate == kUnlimited) continue;
      json[row.member].push_back({{"major", parse_unsigned(numbers.front()).value_or(0)},
                                  {"minor", parse_unsigned(numbers.back()).value_or(0)},
                                  {"rate", *rate}});
    }
  }
  return json;
}

// Files of v2 that have no member, or one that runtimes convert each in their own way.
Json unified_json(const plan::Cgroup& cgroup) {
  constexpr std::string_view kFiles[] = {"memory.high", "memory.oom.group", "cpu.weight", "io.weight"};
  Json json;
  for (const cgroup::Write& write : cgroup::writes_v2(cgroup::only(cgroup.limits, cgroup.place.v2.controllers)))
    if (std::ranges::find(kFiles, write.file) != std::end(kFiles)) json[write.file] = write.value;
  return json;
}

Json device_json(const cgroup::DeviceRule& rule) {
  Json json{{"allow", rule.allow}};
  if (rule.type != 'a') json["type"] = std::string(1, rule.type);
  if (rule.major) json["major"] = *rule.major;
  if (rule.minor) json["minor"] = *rule.minor;
  json["access"] = std::string(rule.read ? "r" : "") + (rule.write ? "w" : "") + (rule.mknod ? "m" : "");
  return json;
}

// Denied is what no rule names; everybody's own devices are added by the runtime.
Json devices_json(const Limits* limits) {
  Json json = Json::array({{{"allow", false}, {"access", "rwm"}}});
  if (limits == nullptr || !limits->devices) return json;
  for (const cgroup::DeviceRule& rule : *limits->devices) json.push_back(device_json(rule));
  return json;
}

void put(Json& into, const char* member, Json value) {
  if (!value.empty()) into[member] = std::move(value);
}

}  // namespace

std::string resources_json(const plan::Plan& plan, const BundleFacts& facts) {
  Json resources = Json::object();
  const Limits* limits = plan.cgroup ? &plan.cgroup->limits : nullptr;
  // An ordinary user may not say what devices may do; a user namespace lets nobody make nodes anyway.
  if (plan.change_identity) resources["devices"] = devices_json(limits);
  if (limits != nullptr) {
    put(resources, "memory", memory_json(*plan.cgroup, facts.counts_swap));
    put(resources, "cpu", cpu_json(*limits));
    if (limits->pids) resources["pids"]["limit"] = number(*limits->pids);
    Json io = io_json(*limits);
    // As exec writes it to blkio.bfq.weight; runtimes refuse less than 10.
    const bool in_v1 = cgroup::only(*limits, plan.cgroup->place.v2.controllers).io_weight != limits->io_weight;
    if (limits->io_weight && in_v1) io["weight"] = std::clamp<std::uint32_t>(*limits->io_weight, 10, 1000);
    put(resources, "blockIO", std::move(io));
    put(resources, "unified", unified_json(*plan.cgroup));
  }
  return resources.empty() ? std::string() : resources.dump();
}

}  // namespace clawrun::report
