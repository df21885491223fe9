// The systemd driver: a sandbox's cgroup as a transient scope, asked for through D-Bus by the helper program clawrun-systemd.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "cgroup/limits.h"

namespace clawrun::cgroup {

// sd_booted(3): systemd is the first process of this host.
bool systemd_is_running();

// Whether `systemd --user` of this user listens. Only the user itself can use it.
bool user_manager_reachable(uid_t uid);

inline constexpr std::chrono::milliseconds kSystemdDeadline{10'000};

struct ScopeRequest {
  std::string unit;           // "clawrun-ID.scope", unless `path` names it
  std::string path;           // "slice:prefix:name"; empty: `unit` in the manager's own slice
  bool user_manager = false;  // else the host's
  pid_t pid = 0;              // the first process, which the scope begins with: no scope is empty
  std::string description;    // for people who look at `systemctl status`
  Limits limits;
  // Of annotations `org.systemd.property.NAME=VALUE`: unit_value.h has the format. `limits` overrides them.
  std::vector<std::pair<std::string, std::string>> properties;
  // For the start. Giving up may take a second more, in which a scope that is half started is stopped.
  std::chrono::milliseconds deadline = kSystemdDeadline;
};

struct Scope {
  std::string unit;
  std::string slice;
  std::string control_group;  // as systemd names it: "/system.slice/clawrun-x.scope"
  std::string directory;      // absolute, in the v2 hierarchy
  // What systemd has no property for, or none so exact: to be written to the directory after this and after each
  // set_properties(). Of devices and processor time systemd then holds the nearest wider limit, which a daemon-reload leaves.
  Limits direct;
};

// Returns when the scope has started. On failure its process is the caller's to kill; the scope goes away with it. Thread-safe.
Result<Scope> start_scope(const ScopeRequest& request);

// Changes those limits that are set, until the unit ends. The result is what is to be written directly, as in Scope.
Result<Limits> set_properties(const std::string& unit, bool user_manager, const Limits& limits,
                              std::chrono::milliseconds deadline = kSystemdDeadline);

// Ends the unit and what runs in it, and forgets it (StopUnit, ResetFailedUnit). A unit that is gone is success.
Result<> stop_scope(const std::string& unit, bool user_manager, std::chrono::milliseconds deadline = kSystemdDeadline);

}  // namespace clawrun::cgroup
