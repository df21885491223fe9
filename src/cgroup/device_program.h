// A device policy as an eBPF program of type BPF_PROG_TYPE_CGROUP_DEVICE; pure.
#pragma once

#include <linux/bpf.h>

#include <vector>

#include "cgroup/device_table.h"

namespace clawrun::cgroup {

// Answers 1 for an access that is allowed, else 0. Instructions that every kernel with such programs knows (Linux 4.15), all
// jumps forward, none unreachable; fewer than 4096.
std::vector<bpf_insn> compile_device_program(const DeviceTables& tables);

}  // namespace clawrun::cgroup
