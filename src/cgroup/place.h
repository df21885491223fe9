// Where this caller may make a cgroup, and by whom: found through /proc/self/mountinfo and /proc/self/cgroup.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "cgroup/location.h"
#include "cgroup/view.h"

namespace clawrun::cgroup {

// A leaf that is there already: somebody else's, or, where nobody is in it, one to use.
enum class Existing : std::uint8_t { kRefused, kUsedIfEmpty };

enum class DriverChoice : std::uint8_t { kAuto, kCgroupfs, kSystemd };

struct PlaceRequest {
  DriverChoice driver = DriverChoice::kAuto;
  // cgroupfs: a directory below the root of the hierarchy ("/a/b") or below the place that is found ("a/b"), made where it is
  // missing. systemd: "slice:prefix:name". Empty: as the driver has it.
  std::string path;
  std::vector<std::string_view> controllers;  // wanted, by their v2 names; and "devices", and "cpuacct" for what
                                              // is killed with its pid namespace, which is in nobody's rusage (v1)
};

// Plain data, decided before anything is made.
struct Place {
  struct Base {
    std::vector<std::string> controllers;  // by their v2 names: those of `request.controllers` that this hierarchy serves
    std::string root;                      // where the hierarchy is mounted
    std::string directory;                 // in which the leaf is made
  };
  Driver driver = Driver::kCgroupfs;
  Base v2;  // an empty directory: not used
  std::vector<Base> v1;
  // Of v1, where a leaf is made only when a pause or an update needs it. `controllers` has v1 names here.
  std::vector<Base> v1_spare;
  bool devices_in_v2 = false;  // by a program on v2.directory's leaf; no name of a controller
  bool v2_move_callers =
      false;                  // processes live in v2.directory: they go to "supervisor" below it before controllers are enabled
  bool user_manager = false;  // systemd
  std::string path;           // systemd: "slice:prefix:name" as it was asked for
  std::string leaf;           // the name of the directory that is made; empty: "clawrun-ID"
  Existing existing = Existing::kRefused;
  bool skip_devices = false;  // this user may not set what devices may do; making nodes of them is not its either
  bool offer_all = false;     // v2: all controllers that can be had are enabled, for what is counted and for later updates
  std::string description;    // systemd
  std::vector<std::pair<std::string, std::string>> properties;  // systemd: ScopeRequest
  // Controllers of the request that cannot be had here, with the reason and the remedy.
  std::vector<std::pair<std::string, std::string>> missing;

  [[nodiscard]] bool usable() const { return driver == Driver::kSystemd || !v2.directory.empty() || !v1.empty(); }
};

// The caller's view, from /proc. Two files are read.
Result<View> current_view();

// Fails only where the request itself is wrong; what this host or this user cannot have is in `missing`. Thread-safe.
Result<Place> find_place(const View& view, const PlaceRequest& request);

// Memory that a new program could have without pushing out another: MemAvailable of /proc/meminfo.
std::uint64_t available_memory_bytes();

}  // namespace clawrun::cgroup
