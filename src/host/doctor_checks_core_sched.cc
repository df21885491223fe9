// Core scheduling: whether two sandboxes can be kept off one core, and whether that is needed here.
#include <cerrno>

#include "host/core_sched.h"
#include "host/doctor_checks.h"
#include "host/files.h"

namespace clawrun::host {

Check core_scheduling_check(int errno_value, std::string_view smt_control) {
  Check check{.id = "kernel.core_scheduling", .title = "core scheduling"};
  if (errno_value == 0) {
    check.status = Check::Status::kOk;
    check.found = "there";
    return check;
  }
  const Explanation explanation = explain_core_scheduling(errno_value, smt_control);
  check.found = explanation.reason;
  if (!cores_are_shared(errno_value, smt_control)) {
    if (errno_value != ENODEV) check.found += "; not needed: no core of this machine runs two threads at once";
    return check;
  }
  check.status = Check::Status::kMissing;
  check.lost = "keeping strangers off the core of a sandbox (--core-sched)";
  check.remedy = explanation.remedy;
  return check;
}

void check_core_scheduling(const DoctorContext& /*context*/, Checks& out) {
  out.push_back(core_scheduling_check(probe_core_scheduling(), read_or_empty(kSmtControlFile)));
}

}  // namespace clawrun::host
