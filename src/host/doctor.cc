#include "host/doctor.h"

#include <algorithm>
#include <cstring>

#include "base/text.h"
#include "host/doctor_checks.h"

namespace clawrun::host {

namespace {

bool is_bad(const Check& check) {
  return check.status == Check::Status::kMissing || check.status == Check::Status::kDegraded;
}

std::string losses(std::span<const Check> checks, Check::Need need) {
  std::vector<std::string> parts;
  for (const Check& check : checks)
    if (is_bad(check) && check.need == need && !check.lost.empty()) parts.push_back(check.lost);
  return join(parts, "; ");
}

std::string obstacles(std::span<const Check> checks) {
  std::vector<std::string> parts;
  for (const Check& check : checks) {
    if (check.need == Check::Need::kRequired && check.status == Check::Status::kMissing)
      parts.push_back(check.title + " " + check.found);
  }
  return join(parts, "; ");
}

}  // namespace

std::string errno_text(int errno_value) {
  const char* name = strerrorname_np(errno_value);
  const char* text = strerrordesc_np(errno_value);
  if (name == nullptr || text == nullptr) return "error " + std::to_string(errno_value);
  return std::string(name) + " (" + text + ")";
}

std::vector<Check> diagnose() {
  DoctorContext context;
  context.facts = gather();
  context.clues = gather_clues();
  context.surroundings = identify(context.clues);
  context.blocks = gather_userns_blocks();
  std::vector<Check> checks;
  for (auto* group : {check_surroundings, check_namespaces, check_identity, check_mounts, check_syscalls, check_kernel_features,
                      check_core_scheduling, check_seccomp, check_landlock, check_cgroups, check_network, check_tools})
    group(context, checks);
  return checks;
}

Verdict verdict_of(std::span<const Check> checks) {
  const auto any = [checks](Check::Need need, auto accept) {
    return std::ranges::any_of(checks, [&](const Check& check) { return check.need == need && accept(check); });
  };
  if (any(Check::Need::kRequired, [](const Check& check) { return check.status == Check::Status::kMissing; }))
    return Verdict::kUnable;
  if (any(Check::Need::kRequired, is_bad) || any(Check::Need::kProtection, is_bad)) return Verdict::kDegraded;
  return Verdict::kReady;
}

std::string_view verdict_word(Verdict verdict) {
  switch (verdict) {
    case Verdict::kReady:
      return "ready";
    case Verdict::kDegraded:
      return "degraded";
    case Verdict::kUnable:
      return "unable";
  }
  return "unable";
}

std::string verdict_line(std::span<const Check> checks) {
  switch (verdict_of(checks)) {
    case Verdict::kReady:
      return "`clawrun exec` works here with all its protections.";
    case Verdict::kUnable:
      return "`clawrun exec` does not work here: " + obstacles(checks) + ".";
    case Verdict::kDegraded:
      break;
  }
  std::string lost = losses(checks, Check::Need::kRequired);
  const std::string protections = losses(checks, Check::Need::kProtection);
  if (!lost.empty() && !protections.empty()) lost += "; ";
  return "`clawrun exec` works here, but lost are: " + lost + protections + ".";
}

}  // namespace clawrun::host
