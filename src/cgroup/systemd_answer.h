// What clawrun-systemd answered, in words for people; pure.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "base/result.h"
#include "cgroup/unit_name.h"

namespace clawrun::cgroup {

struct UnitCall {
  std::string verb;  // of the protocol: "start", "set" or "stop"
  std::string unit;
  Manager manager = Manager::kSystem;
  std::chrono::milliseconds deadline{0};
};

// The control group of a scope that was started, else "".
Result<std::string> read_answer(const UnitCall& call, std::string_view answer);

}  // namespace clawrun::cgroup
