// Where a sandbox's cgroup is: plain data, enough for another process to find, read, change, stop and remove it.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "cgroup/limits.h"

namespace clawrun::cgroup {

enum class Driver : std::uint8_t { kCgroupfs, kSystemd };

struct Location {
  // One hierarchy: v2 ("controllers" are those that the group has), or one of v1.
  struct Directory {
    std::vector<std::string> controllers;
    std::string path;  // absolute, of the leaf
  };
  Driver driver = Driver::kCgroupfs;
  Directory v2;               // an empty path: none
  std::vector<Directory> v1;  // each hierarchy that its owner may use; joined where the directory exists
  std::string unit;           // of systemd: "clawrun-ID.scope"
  bool user_manager = false;  // of systemd: the user's, not the system's

  [[nodiscard]] bool empty() const { return v2.path.empty() && v1.empty() && unit.empty(); }
};

// All of these name what they did and to which file. None follows a name that the sandbox could have made: it sees its cgroup
// read-only or not at all. Thread-safe.

// Changes the limits that are set in `limits`; with systemd through the manager, so that it holds after a daemon-reload.
Result<> update(const Location& location, const Limits& limits);

// Stops all processes, and returns when they have stopped (cgroup.freeze, v1 freezer); or lets them go on.
Result<> freeze(const Location& location);
Result<> thaw(const Location& location);

// Kills all processes, those that are just being forked too, and waits until they are gone: cgroup.kill, or freeze and kill.
// A group that is gone is success.
Result<> kill(const Location& location);

// Begins to kill all of them, the frozen ones too, and does not wait.
void kill_soon(const Location& location);

// Removes the empty directories (kernel.org: cgroup-v2 "Removing": EBUSY for a moment after the last exit is waited for).
// Those that are gone are success.
Result<> remove(const Location& location);

// The same without waiting: false where something is still in it, or where it is for systemd to remove.
bool remove_empty(const Location& location);

// Kills what is left in it and removes it: at once where nothing is. One that is gone is success.
Result<> end(const Location& location);

// Every process in it and in the groups below it, as this pid namespace counts.
Result<std::vector<pid_t>> processes(const Location& location);

}  // namespace clawrun::cgroup
