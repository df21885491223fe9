#include "host/surroundings.h"

#include <sys/stat.h>

#include <cstdlib>
#include <initializer_list>

#include "base/text.h"
#include "host/files.h"

namespace clawrun::host {

namespace {

struct Row {
  Surrounding kind;
  std::string_view name;
  Loosening loosening;
};

constexpr Row kRows[] = {
    {Surrounding::kNone,
     "no container",
     {"remove the seccomp filter that the parent of this process has loaded (systemd: SystemCallFilter=, RestrictNamespaces=)",
      "umount what is mounted below /proc", "mount -t cgroup2 none /sys/fs/cgroup",
      "keep CAP_SYS_RESOURCE in the set of the parent process"}},
    {Surrounding::kDocker,
     "Docker",
     {"docker run --security-opt seccomp=unconfined --security-opt apparmor=unconfined ...",
      "docker run --security-opt systempaths=unconfined ...",
      "docker run --cgroupns=private --security-opt writable-cgroups=true ...", "docker run --cap-add SYS_RESOURCE ..."}},
    {Surrounding::kPodman,
     "Podman",
     {"podman run --security-opt seccomp=unconfined --security-opt label=disable ...", "podman run --security-opt unmask=ALL ...",
      "podman run --cgroupns=private --security-opt unmask=/sys/fs/cgroup ...", "podman run --cap-add SYS_RESOURCE ..."}},
    {Surrounding::kKubernetes,
     "a Kubernetes pod",
     {"securityContext: {seccompProfile: {type: Unconfined}, appArmorProfile: {type: Unconfined}}",
      "hostUsers: false with securityContext: {procMount: Unmasked}", "securityContext: {privileged: true}",
      "securityContext: {capabilities: {add: [SYS_RESOURCE]}}"}},
    {Surrounding::kLxc,
     "LXC",
     {"lxc config set NAME security.nesting=true", "lxc config set NAME security.nesting=true",
      "lxc config set NAME security.nesting=true", "lxc config set NAME security.privileged=true"}},
    {Surrounding::kNspawn,
     "systemd-nspawn",
     {"systemd-nspawn --system-call-filter='@mount @keyring' ...", "SYSTEMD_NSPAWN_API_VFS_WRITABLE=1 systemd-nspawn ...",
      "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 systemd-nspawn ...", "systemd-nspawn --capability=CAP_SYS_RESOURCE ..."}},
    {Surrounding::kWsl,
     "WSL",
     {"wsl --update", "wsl --update", "kernelCommandLine = cgroup_no_v1=all in .wslconfig", "wsl --update"}},
    {Surrounding::kGvisor,
     "gVisor",
     {"run clawrun outside of gVisor (docker run --runtime=runc ...)",
      "run clawrun outside of gVisor (docker run --runtime=runc ...)",
      "run clawrun outside of gVisor (docker run --runtime=runc ...)",
      "run clawrun outside of gVisor (docker run --runtime=runc ...)"}},
    {Surrounding::kOther,
     "a container",
     {"start the container without a seccomp filter", "start the container without masked paths in /proc",
      "start the container with a cgroup namespace of its own and a writable /sys/fs/cgroup",
      "start the container with CAP_SYS_RESOURCE"}},
};

const Row& row(Surrounding kind) {
  for (const Row& candidate : kRows)
    if (candidate.kind == kind) return candidate;
  return kRows[0];
}

bool has(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

// The file system type of the mount whose mount point is "/", or "" (proc_pid_mountinfo(5)).
std::string_view root_fstype(std::string_view mountinfo) {
  for (const std::string_view line : split(mountinfo, '\n')) {
    const auto fields = split(line, ' ');
    if (fields.size() < 10 || fields[4] != "/") continue;
    for (std::size_t i = 6; i + 1 < fields.size(); ++i)
      if (fields[i] == "-") return fields[i + 1];
  }
  return {};
}

// Words of the manager itself: systemd's `container=` interface, or the cgroup that it made for pid 1.
struct Word {
  std::string_view container_word;
  std::string_view cgroup_part;
  Surrounding kind;
};
constexpr Word kWords[] = {
    {"docker", "/docker", Surrounding::kDocker},
    {"podman", "/libpod", Surrounding::kPodman},
    {"oci", "/machine.slice/libpod", Surrounding::kPodman},
    {"lxc", "/lxc", Surrounding::kLxc},
    {"systemd-nspawn", "/machine-", Surrounding::kNspawn},
    {"wsl", "/wsl-init", Surrounding::kWsl},
};

}  // namespace

std::string_view name_of(Surrounding kind) {
  return row(kind).name;
}
const Loosening& loosening(Surrounding kind) {
  return row(kind).loosening;
}

Clues gather_clues() {
  constexpr ino_t kInitialPidNamespace = 0xEFFFFFFCU;  // PROC_PID_INIT_INO
  Clues clues;
  clues.dockerenv = exists("/.dockerenv");
  clues.containerenv = exists("/run/.containerenv");
  clues.kubernetes_service = secure_getenv("KUBERNETES_SERVICE_HOST") != nullptr;
  if (const char* word = secure_getenv("container"); word != nullptr) clues.container_word = word;
  for (const char* file : {"/run/host/container-manager", "/run/systemd/container"})
    if (clues.container_word.empty()) clues.container_word = read_or_empty(file);
  clues.pid1_cgroup = read_or_empty("/proc/1/cgroup");
  clues.mountinfo = read_or_empty("/proc/self/mountinfo");
  clues.proc_version = read_or_empty("/proc/version");
  struct stat status {};
  clues.initial_pid_namespace = stat("/proc/self/ns/pid", &status) == 0 && status.st_ino == kInitialPidNamespace;
  return clues;
}

Surroundings identify(const Clues& clues) {
  // gVisor answers with this constant whatever the kernel below it is.
  if (has(clues.proc_version, "#1 SMP Sun Jan 10 15:06:54 PST 2016")) return {Surrounding::kGvisor, "/proc/version"};
  if (clues.kubernetes_service || has(clues.pid1_cgroup, "/kubepods")) {
    return {Surrounding::kKubernetes,
            clues.kubernetes_service ? "KUBERNETES_SERVICE_HOST is set" : "/proc/1/cgroup names kubepods"};
  }
  // Virtual machines are booted from images that were built for containers: the mark alone proves nothing there.
  const bool marks_count = !clues.initial_pid_namespace || root_fstype(clues.mountinfo) == "overlay";
  if (clues.containerenv && marks_count) return {Surrounding::kPodman, "/run/.containerenv exists"};
  if (clues.dockerenv && marks_count) return {Surrounding::kDocker, "/.dockerenv exists"};
  for (const Word& word : kWords)
    if (clues.container_word == word.container_word) return {word.kind, "container=" + clues.container_word};
  if (!clues.initial_pid_namespace) {
    for (const Word& word : kWords)
      if (has(clues.pid1_cgroup, word.cgroup_part)) return {word.kind, "/proc/1/cgroup names " + std::string(word.cgroup_part)};
  }
  if (has(clues.proc_version, "microsoft") || has(clues.proc_version, "Microsoft")) return {Surrounding::kWsl, "/proc/version"};
  if (!clues.container_word.empty() && marks_count) return {Surrounding::kOther, "container=" + clues.container_word};
  return {};
}

}  // namespace clawrun::host
