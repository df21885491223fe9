#include "report/report.h"

#include <sys/resource.h>

#include <ctime>
#include <nlohmann/json.hpp>

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

Json limits_of(const plan::Plan& plan) {
  Json limits = Json::object();
  for (const child::Rlimit& limit : plan.rlimits)
    for (const LimitRow& row : kLimits)
      if (row.resource == limit.resource) limits[row.name] = limit.soft;
  if (plan.timeout.count() > 0) limits["timeout_ms"] = plan.timeout.count();
  if (plan.timeout.count() > 0) limits["grace_ms"] = plan.grace.count();
  return limits;
}

// Names and arguments of strangers may be any bytes: what is not UTF-8 is replaced, not refused.
std::string dump(const Json& json, int indent) {
  return json.dump(indent, ' ', false, Json::error_handler_t::replace) + "\n";
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
  json["oom_killed"] = outcome.status == spec::Status::kOom;
  json["timed_out"] = outcome.status == spec::Status::kTimeout;
  json["rootfs"] = plan != nullptr ? Json(plan->rootfs) : Json();
  json["profile"] = plan != nullptr ? Json(plan->profiles) : Json::array();
  json["limits"] = plan != nullptr ? limits_of(*plan) : Json::object();
  json["degradations"] = plan != nullptr ? Json(plan->degradations) : Json::array();
  json["stages_us"] = Json::object();
  for (const auto& [stage, us] : outcome.stages_us) json["stages_us"][stage] = us;
  return dump(json, -1);
}

std::string explanation(const spec::Outcome& outcome, const plan::Plan& plan) {
  if (outcome.status == spec::Status::kTimeout)
    return "the command was ended after " + std::to_string(plan.timeout.count()) + " ms (--timeout)" +
           (outcome.reason.empty() ? "" : ": " + outcome.reason);
  if (outcome.status == spec::Status::kSignaled && outcome.signal == SIGSYS)
    return "the command was ended by the seccomp profile \"" + plan.seccomp_name + "\" (SIGSYS)";
  if (outcome.status == spec::Status::kSignaled && outcome.signal == SIGXCPU)
    return "the command used up its processor time (--cpu-time)";
  if (outcome.status == spec::Status::kSignaled && outcome.signal == SIGXFSZ)
    return "the command wrote a file larger than allowed (--fsize)";
  return outcome.reason;
}

}  // namespace clawrun::report
