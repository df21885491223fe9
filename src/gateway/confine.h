// What the gateway takes from itself before it reads a byte of the sandbox.
#pragma once

#include <cstddef>

#include "base/result.h"

namespace clawrun::gateway {

struct Confinement {
  unsigned uid = 65534;  // both: what it becomes where it is started as root
  unsigned gid = 65534;
  std::size_t descriptors = 1024;
};

// How many descriptors this process may have at most.
std::size_t descriptor_limit();

// Irrevocable, and in this order: limits, ids, capabilities, no_new_privs, Landlock, seccomp. Afterwards no file can be opened,
// no program executed, no process made or looked into, and no socket made but TCP and UDP ones. What the kernel refuses is an
// error; a kernel without Landlock is not, since seccomp already refuses each call that names a file.
Result<> confine(const Confinement& confinement);

}  // namespace clawrun::gateway
