#include <ctime>
#include <nlohmann/json.hpp>

#include "cgroup/limits.h"
#include "report/sandboxes.h"

namespace clawrun::report {

namespace {

using Json = nlohmann::ordered_json;
using std::chrono::milliseconds;
using Number = std::optional<std::uint64_t>;

// RFC 3339, with milliseconds, which is what a record has.
std::string time_of(std::uint64_t ms) {
  const auto seconds = static_cast<std::time_t>(ms / 1000);
  std::tm parts{};
  if (::gmtime_r(&seconds, &parts) == nullptr) return "";
  char date[64];
  std::strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &parts);
  std::string fraction = std::to_string(1000 + ms % 1000);
  fraction[0] = '.';
  return date + fraction + "Z";
}

std::string_view status_of(const state::Record& record, const std::optional<cgroup::Usage>& usage) {
  if (usage && usage->frozen.value_or(false)) return "paused";
  return record.first.pid == 0 ? "starting" : "running";
}

Json number(const Number& value) {
  return !value || *value == cgroup::kUnlimited ? Json() : Json(*value);
}

Json group(const cgroup::Location& location) {
  if (location.empty()) return {};
  Json json;
  json["driver"] = location.driver == cgroup::Driver::kSystemd ? "systemd" : "cgroupfs";
  json["unit"] = location.unit.empty() ? Json() : Json(location.unit);
  json["paths"] = Json::array();
  if (!location.v2.path.empty()) json["paths"].push_back(location.v2.path);
  for (const auto& directory : location.v1) json["paths"].push_back(directory.path);
  return json;
}

Json pressure(const std::optional<cgroup::Pressure>& stalled) {
  return stalled ? Json{{"some_us", stalled->some_us}, {"full_us", stalled->full_us}} : Json();
}

Json io(const cgroup::Usage& usage) {
  if (!usage.has_io) return {};
  Json json = Json::object();
  for (const cgroup::IoUsage& device : usage.io)
    json[device.device] = {{"read_bytes", device.read_bytes},
                           {"written_bytes", device.written_bytes},
                           {"reads", device.reads},
                           {"writes", device.writes}};
  return json;
}

struct NumberRow {
  const char* name;
  Number cgroup::Usage::*member;
};

constexpr NumberRow kNumbers[] = {
    {"memory_bytes", &cgroup::Usage::memory_bytes},
    {"memory_peak_bytes", &cgroup::Usage::memory_peak_bytes},
    {"memory_limit_bytes", &cgroup::Usage::memory_limit_bytes},
    {"swap_bytes", &cgroup::Usage::swap_bytes},
    {"oom_kills", &cgroup::Usage::oom_kills},
    {"cpu_us", &cgroup::Usage::cpu_us},
    {"cpu_user_us", &cgroup::Usage::cpu_user_us},
    {"cpu_system_us", &cgroup::Usage::cpu_system_us},
    {"pids", &cgroup::Usage::pids},
    {"pids_peak", &cgroup::Usage::pids_peak},
    {"pids_limit", &cgroup::Usage::pids_limit},
    {"pids_limit_hits", &cgroup::Usage::pids_limit_hits},
};

void add_usage(Json& json, const cgroup::Usage& usage) {
  for (const NumberRow& row : kNumbers) json[row.name] = number(usage.*row.member);
  json["cpu_throttling"] = !usage.cpu_throttled_us ? Json()
                                                   : Json{{"periods", number(usage.cpu_periods)},
                                                          {"throttled_periods", number(usage.cpu_throttled_periods)},
                                                          {"throttled_us", *usage.cpu_throttled_us}};
  json["io"] = io(usage);
  const bool has_psi = usage.cpu_pressure || usage.memory_pressure || usage.io_pressure;
  json["psi"] = !has_psi ? Json()
                         : Json{{"cpu", pressure(usage.cpu_pressure)},
                                {"memory", pressure(usage.memory_pressure)},
                                {"io", pressure(usage.io_pressure)}};
}

}  // namespace

std::string to_json(const state::Record& record, const std::optional<cgroup::Usage>& usage,
                    std::chrono::system_clock::time_point sampled_at) {
  const auto now_ms = static_cast<std::uint64_t>(std::chrono::duration_cast<milliseconds>(sampled_at.time_since_epoch()).count());
  Json json;
  json["id"] = record.id;
  json["status"] = status_of(record, usage);
  json["pid"] = record.first.pid == 0 ? Json() : Json(record.first.pid);
  json["supervisor_pid"] = record.supervisor.pid;
  json["started_at"] = time_of(record.created_ms);
  json["sampled_at"] = time_of(now_ms);
  json["age_ms"] = now_ms > record.created_ms ? now_ms - record.created_ms : 0;  // the clock may have been set back
  json["command"] = record.command;
  json["rootfs"] = record.rootfs;
  json["cgroup"] = group(record.location);
  add_usage(json, usage.value_or(cgroup::Usage{}));
  // A command may have any bytes, and a hostile one will: what is no UTF-8 is replaced.
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace clawrun::report
