#include "report/report.h"

#include <sys/resource.h>

#include <ctime>
#include <nlohmann/json.hpp>

#include "base/text.h"
#include "tables/exit_codes.h"
#include "tables/signals.h"

namespace clawrun::report {

namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kStatusNames[] = {"exited", "signaled", "timeout", "oom", "setup_failed"};

std::string rfc3339(std::chrono::system_clock::time_point when) {
  const auto since = when.time_since_epoch();
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(since);
  const auto micros = std::chrono::duration_cast<std::chrono::microseconds>(since - seconds).count();
  const std::time_t time = seconds.count();
  std::tm parts{};
  ::gmtime_r(&time, &parts);
  char date[32];
  std::strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &parts);
  std::string fraction = std::to_string(1'000'000 + micros);
  fraction[0] = '.';
  return date + fraction + "Z";
}

struct LimitRow {
  int resource;
  const char* name;
};

constexpr LimitRow kLimits[] = {{RLIMIT_CPU, "cpu_time_s"},        {RLIMIT_NOFILE, "nofile"},     {RLIMIT_NPROC, "nproc"},
                                {RLIMIT_FSIZE, "fsize_bytes"},     {RLIMIT_STACK, "stack_bytes"}, {RLIMIT_CORE, "core_bytes"},
                                {RLIMIT_AS, "address_space_bytes"}};

using Number = std::optional<std::uint64_t>;

// What is not limited is null, and what nobody limits is not there.
Json limit_json(std::uint64_t value) {
  return value == cgroup::kUnlimited ? Json() : Json(value);
}

void add_cgroup_limits(Json& json, const cgroup::Limits& limits) {
  const struct {
    const char* name;
    Number value;
  } rows[] = {{"memory_bytes", limits.memory_bytes},
              {"memory_swap_bytes", limits.memory_swap_bytes},
              {"memory_high_bytes", limits.memory_high_bytes},
              {"cpu_quota_us", limits.cpu_quota_us},
              {"cpu_weight", limits.cpu_weight},
              {"pids", limits.pids},
              {"io_weight", limits.io_weight}};
  for (const auto& row : rows)
    if (row.value) json[row.name] = limit_json(*row.value);
  if (limits.cpu_quota_us) json["cpu_period_us"] = limits.cpu_period_us;
  if (limits.cpuset_cpus) json["cpuset"] = *limits.cpuset_cpus;
  if (limits.oom_group) json["oom_group"] = *limits.oom_group;
  for (const cgroup::IoMax& limit : limits.io_max) {
    Json& device = json["io_max"][limit.device];
    if (limit.read_bytes_per_s) device["rbps"] = limit_json(*limit.read_bytes_per_s);
    if (limit.write_bytes_per_s) device["wbps"] = limit_json(*limit.write_bytes_per_s);
    if (limit.read_operations_per_s) device["riops"] = limit_json(*limit.read_operations_per_s);
    if (limit.write_operations_per_s) device["wiops"] = limit_json(*limit.write_operations_per_s);
  }
}

Json pressure_json(const std::optional<cgroup::Pressure>& pressure) {
  return pressure ? Json{{"some_us", pressure->some_us}, {"full_us", pressure->full_us}} : Json();
}

Json optional_json(const Number& number) {
  return number ? limit_json(*number) : Json();
}

// Null where the kernel did not count it: no cgroup, or one without that controller.
void add_usage(Json& json, const std::optional<cgroup::Usage>& counted) {
  const cgroup::Usage usage = counted.value_or(cgroup::Usage{});
  json["pids_peak"] = optional_json(usage.pids_peak);
  json["pids_limit_hits"] = optional_json(usage.pids_limit_hits);
  json["oom_kills"] = optional_json(usage.oom_kills);
  json["cpu_throttling"] = !usage.cpu_throttled_us ? Json()
                                                   : Json{{"periods", optional_json(usage.cpu_periods)},
                                                          {"throttled_periods", optional_json(usage.cpu_throttled_periods)},
                                                          {"throttled_us", *usage.cpu_throttled_us}};
  json["io"] = usage.has_io ? Json::object() : Json();
  for (const cgroup::IoUsage& device : usage.io)
    json["io"][device.device] = {{"read_bytes", device.read_bytes},
                                 {"written_bytes", device.written_bytes},
                                 {"reads", device.reads},
                                 {"writes", device.writes}};
  const bool has_psi = usage.cpu_pressure || usage.memory_pressure || usage.io_pressure;
  json["psi"] = !has_psi ? Json()
                         : Json{{"cpu", pressure_json(usage.cpu_pressure)},
                                {"memory", pressure_json(usage.memory_pressure)},
                                {"io", pressure_json(usage.io_pressure)}};
}

Json decision_json(const spec::NetworkDecision& decision) {
  const auto text = [](const std::string& words) { return words.empty() ? Json() : Json(words); };
  return {{"time", decision.time},
          {"host", text(decision.host)},
          {"address", text(decision.address)},
          {"port", decision.port},
          {"protocol", decision.protocol},
          {"verdict", decision.verdict},
          {"rule", text(decision.rule)},
          {"reason", text(decision.reason)},
          {"bytes_up", decision.bytes_up},
          {"bytes_down", decision.bytes_down},
          {"duration_ms", decision.duration_ms}};
}

Json network_json(const spec::NetworkUse& use) {
  Json json{{"events", Json::array()}, {"events_lost", use.events_lost}, {"denied", Json::array()}};
  for (const spec::NetworkDecision& decision : use.events) json["events"].push_back(decision_json(decision));
  for (const auto& [first, count] : use.denied)
    json["denied"].push_back({{"host", first.host.empty() ? Json() : Json(first.host)},
                              {"address", first.address.empty() ? Json() : Json(first.address)},
                              {"port", first.port},
                              {"protocol", first.protocol},
                              {"count", count}});
  return json;
}

Json limits_of(const plan::Plan& plan) {
  Json limits = Json::object();
  for (const child::Rlimit& limit : plan.rlimits)
    for (const LimitRow& row : kLimits)
      if (row.resource == limit.resource) limits[row.name] = limit.soft;
  if (plan.cgroup) add_cgroup_limits(limits, plan.cgroup->limits);
  if (plan.max_output_bytes) limits["max_output_bytes"] = *plan.max_output_bytes;
  if (plan.timeout.count() > 0) limits["timeout_ms"] = plan.timeout.count();
  if (plan.timeout.count() > 0) limits["grace_ms"] = plan.grace.count();
  return limits;
}

// Names and arguments of strangers may be any bytes: what is not UTF-8 is replaced, not refused.
std::string dump(const Json& json, int indent) {
  return json.dump(indent, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string out_of_memory(const plan::Plan& plan) {
  const Number limit = plan.cgroup ? plan.cgroup->limits.memory_bytes : std::nullopt;
  if (!limit || *limit == cgroup::kUnlimited) return "the kernel killed the command: the host ran out of memory";
  return "the kernel killed the command: it used up its memory of " + format_size(*limit) + " (--memory raises the limit)";
}

}  // namespace

int exit_code(const spec::Outcome& outcome) {
  switch (outcome.status) {
    case spec::Status::kTimeout:
      return tables::kExitTimeout;
    case spec::Status::kSignaled:
      return tables::kExitSignalBase + outcome.signal;
    default:
      return outcome.exit_code;
  }
}

std::string to_json(const spec::Outcome& outcome, const plan::Plan* plan) {
  Json json;
  json["id"] = outcome.id;
  json["status"] = kStatusNames[static_cast<std::size_t>(outcome.status)];
  json["exit_code"] = exit_code(outcome);
  json["signal"] = outcome.signal == 0 ? Json() : Json(tables::signal_name(outcome.signal));
  json["reason"] = outcome.reason.empty() ? Json() : Json(outcome.reason);
  json["started_at"] = rfc3339(outcome.started_at);
  json["wall_us"] = outcome.wall_us;
  json["cpu_user_us"] = outcome.cpu_user_us;
  json["cpu_system_us"] = outcome.cpu_system_us;
  json["memory_peak_bytes"] = outcome.memory_peak_bytes;
  json["oom_killed"] = outcome.oom_killed;
  json["timed_out"] = outcome.status == spec::Status::kTimeout;
  json["stdout_lost_bytes"] = optional_json(outcome.stdout_lost_bytes);
  json["stderr_lost_bytes"] = optional_json(outcome.stderr_lost_bytes);
  add_usage(json, outcome.usage);
  json["network"] = outcome.network ? network_json(*outcome.network) : Json();
  json["rootfs"] = plan != nullptr ? Json(plan->rootfs) : Json();
  json["profile"] = plan != nullptr ? Json(plan->profiles) : Json::array();
  json["limits"] = plan != nullptr ? limits_of(*plan) : Json::object();
  json["degradations"] = plan != nullptr ? Json(plan->degradations) : Json::array();
  json["notes"] = plan != nullptr ? Json(plan->notes) : Json::array();
  json["stages_us"] = Json::object();
  for (const auto& [stage, us] : outcome.stages_us) json["stages_us"][stage] = us;
  return dump(json, -1);
}

std::string truncation(const spec::Outcome& outcome) {
  std::string text;
  const auto say = [&](const char* stream, const Number& lost) {
    if (lost.value_or(0) == 0) return;
    text += (text.empty() ? "" : ", and ") + format_size(*lost) + " of " + stream;
  };
  say("standard output", outcome.stdout_lost_bytes);
  say("standard error", outcome.stderr_lost_bytes);
  return text.empty() ? text : "output was cut off: " + text + " went beyond --max-output and was thrown away";
}

std::string explanation(const spec::Outcome& outcome, const plan::Plan& plan) {
  if (outcome.status == spec::Status::kTimeout)
    return "the command was ended after " + std::to_string(plan.timeout.count()) + " ms (--timeout)" +
           (outcome.reason.empty() ? "" : ": " + outcome.reason);
  if (outcome.status == spec::Status::kOom) return out_of_memory(plan);
  if (outcome.status == spec::Status::kSignaled && outcome.signal == SIGSYS)
    return "the command was ended by the seccomp profile \"" + plan.seccomp_name + "\" (SIGSYS)";
  if (outcome.status == spec::Status::kSignaled && outcome.signal == SIGXCPU)
    return "the command used up its processor time (--cpu-time)";
  if (outcome.status == spec::Status::kSignaled && outcome.signal == SIGXFSZ)
    return "the command wrote a file larger than allowed (--fsize)";
  return outcome.reason;
}

}  // namespace clawrun::report
