// The groups of checks behind `diagnose`, one function each; private to this module.
#pragma once

#include <vector>

#include "host/doctor.h"
#include "host/explain.h"
#include "host/facts.h"
#include "host/surroundings.h"

namespace clawrun::host {

// What several groups need, gathered once.
struct DoctorContext {
  HostFacts facts;
  Clues clues;
  Surroundings surroundings;
  UsernsBlocks blocks;
};

using Checks = std::vector<Check>;

void check_surroundings(const DoctorContext& context, Checks& out);
void check_namespaces(const DoctorContext& context, Checks& out);
void check_identity(const DoctorContext& context, Checks& out);
void check_mounts(const DoctorContext& context, Checks& out);
void check_syscalls(const DoctorContext& context, Checks& out);
void check_kernel_features(const DoctorContext& context, Checks& out);
void check_core_scheduling(const DoctorContext& context, Checks& out);
void check_seccomp(const DoctorContext& context, Checks& out);
void check_landlock(const DoctorContext& context, Checks& out);
void check_cgroups(const DoctorContext& context, Checks& out);
void check_network(const DoctorContext& context, Checks& out);
void check_tools(const DoctorContext& context, Checks& out);

// Parts of these groups that are tested with made-up values.
Check core_scheduling_check(int errno_value, std::string_view smt_control);

// For people: "EPERM (Operation not permitted)".
std::string errno_text(int errno_value);

}  // namespace clawrun::host
