// Which container manager or sandbox this process already runs in, and what would loosen it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace clawrun::host {

enum class Surrounding : std::uint8_t { kNone, kDocker, kPodman, kKubernetes, kLxc, kNspawn, kWsl, kGvisor, kOther };

// What can be seen from inside; `identify` is tested with made-up clues.
struct Clues {
  bool dockerenv = false;           // /.dockerenv
  bool containerenv = false;        // /run/.containerenv
  bool kubernetes_service = false;  // KUBERNETES_SERVICE_HOST
  std::string container_word;       // $container, or what systemd kept of it
  std::string pid1_cgroup;          // /proc/1/cgroup
  std::string mountinfo;            // /proc/self/mountinfo
  std::string proc_version;         // /proc/version
  bool initial_pid_namespace = false;
};

struct Surroundings {
  Surrounding kind = Surrounding::kNone;
  std::string evidence;
};

Clues gather_clues();
Surroundings identify(const Clues& clues);

// "Docker", "a Kubernetes pod", … as it stands in a sentence.
std::string_view name_of(Surrounding kind);

// The one setting of the container manager that lifts each sort of block.
struct Loosening {
  std::string_view seccomp;  // its seccomp filter and, with it, the profile of its LSM
  std::string_view proc;     // its masked and read-only paths in /proc
  std::string_view cgroup;   // its read-only /sys/fs/cgroup
  std::string_view rlimits;  // its missing CAP_SYS_RESOURCE
};
const Loosening& loosening(Surrounding kind);

}  // namespace clawrun::host
