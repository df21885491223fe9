#include "host/core_sched.h"

#include <doctest/doctest.h>

#include <cerrno>

#include "host/doctor_checks.h"

namespace clawrun::host {

TEST_CASE("why there is no core scheduling is told apart, with the remedy") {
  struct Row {
    int error;
    const char* smt_control;
    const char* reason;
    const char* remedy;
    Check::Status status;
  };
  using enum Check::Status;
  const Row rows[] = {
      {EINVAL, "on", "this kernel has no core scheduling", "CONFIG_SCHED_CORE=y", kMissing},
      {EINVAL, "", "this kernel has no core scheduling", "CONFIG_SCHED_CORE=y", kMissing},
      {EINVAL, "notsupported", "this kernel has no core scheduling", "CONFIG_SCHED_CORE=y", kInfo},
      {EINVAL, "off", "this kernel has no core scheduling", "CONFIG_SCHED_CORE=y", kInfo},
      {ENODEV, "notsupported", "no core of this machine runs two threads", "show the guest", kInfo},
      {ENODEV, "", "no core of this machine runs two threads", "show the guest", kInfo},
      {ENODEV, "off", "SMT is switched off", "echo on >/sys/devices/system/cpu/smt/control", kInfo},
      {ENODEV, "forceoff", "SMT is switched off", "nosmt=force", kInfo},
      {EPERM, "on", "Operation not permitted", "seccomp filter", kMissing},
      {ENOSYS, "on", "not implemented", "seccomp filter", kMissing},
  };
  for (const Row& row : rows) {
    CAPTURE(row.error);
    CAPTURE(row.smt_control);
    const Explanation explanation = explain_core_scheduling(row.error, row.smt_control);
    CHECK(explanation.reason.find(row.reason) != std::string::npos);
    CHECK(explanation.remedy.find(row.remedy) != std::string::npos);
    const Check check = core_scheduling_check(row.error, row.smt_control);
    CHECK(check.status == row.status);
    CHECK(check.found.find(row.reason) != std::string::npos);
    CHECK(check.lost.empty() == (row.status == kInfo));
    CHECK(check.remedy == (row.status == kInfo ? "" : explanation.remedy));
  }
  CHECK(core_scheduling_check(0, "on").status == kOk);
  CHECK(explain_core_scheduling(0, "on").reason.empty());
}

TEST_CASE("the probe of core scheduling and its refusal agree") {
  CHECK((probe_core_scheduling() == 0) == core_scheduling_refusal().empty());
}

}  // namespace clawrun::host
