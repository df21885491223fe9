// Which limits by cgroup this caller can set, by whom, and what gives the others; from facts, so that every host can be tested.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cgroup/place.h"
#include "cgroup/view.h"
#include "host/doctor.h"
#include "host/surroundings.h"

namespace clawrun::host {

struct LimitFacts {
  cgroup::View view;
  cgroup::Place place;                             // found for limit_controllers()
  std::optional<std::string> manager_controllers;  // cgroup.controllers of the user's systemd manager; nullopt: not to be seen
  std::string kernel_controllers;                  // /proc/cgroups, which has v1 names
  Surrounding kind = Surrounding::kNone;
  std::vector<std::string> read_only;  // the mount points of hierarchies that are mounted read-only
  bool has_systemd = false;
  bool has_user_manager = false;
  std::uint32_t uid = 0;
  bool privileged = false;  // root of the machine
};

// Those that options of `clawrun exec` use, by their v2 names.
std::span<const std::string_view> limit_controllers();

Check limits_check(const LimitFacts& facts);

}  // namespace clawrun::host
