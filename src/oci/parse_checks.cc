#include <sched.h>

#include <algorithm>

#include "oci/annotations.h"
#include "oci/config.h"
#include "oci/json_reader.h"

namespace clawrun::oci {

namespace {

constexpr std::uint64_t kCloneNewTime = 0x80;

Failure wrong(std::string_view path, std::string_view what) {
  return fail(ErrorKind::kInvalid, std::string(path).append(": ").append(what));
}

const Namespace* find_namespace(const Config& config, std::uint64_t flag) {
  const auto& spaces = config.linux.namespaces;
  const auto found = std::ranges::find(spaces, flag, &Namespace::flag);
  return found == spaces.end() ? nullptr : &*found;
}

bool has(const Config& config, std::uint64_t flag) {
  return find_namespace(config, flag) != nullptr;
}

// What would otherwise change the host's, or be refused by the kernel without a word about why.
Result<> check_namespaces(const Config& config) {
  const Linux& linux_part = config.linux;
  struct Row {
    bool is_used;
    std::uint64_t flag;
    std::string_view path;
    std::string_view type;
  };
  const Row rows[] = {
      {!config.hostname.empty(), CLONE_NEWUTS, "hostname", "uts"},
      {!config.domainname.empty(), CLONE_NEWUTS, "domainname", "uts"},
      {!linux_part.uid_mappings.empty(), CLONE_NEWUSER, "linux.uidMappings", "user"},
      {!linux_part.gid_mappings.empty(), CLONE_NEWUSER, "linux.gidMappings", "user"},
      {!linux_part.time_offsets.empty(), kCloneNewTime, "linux.timeOffsets", "time"},
      {!linux_part.net_devices.empty(), CLONE_NEWNET, "linux.netDevices", "network"},
      {!linux_part.masked_paths.empty(), CLONE_NEWNS, "linux.maskedPaths", "mount"},
      {!linux_part.readonly_paths.empty(), CLONE_NEWNS, "linux.readonlyPaths", "mount"},
  };
  for (const Row& row : rows)
    if (row.is_used && !has(config, row.flag))
      return wrong(row.path, std::string("needs a ").append(row.type).append(" namespace in linux.namespaces"));
  // Offsets can be set only before the first process is in a time namespace: time_namespaces(7).
  const Namespace* time = find_namespace(config, kCloneNewTime);
  if (!linux_part.time_offsets.empty() && time != nullptr && !time->path.empty())
    return wrong("linux.timeOffsets", "needs a new time namespace, not one that is joined by its path");
  return {};
}

Result<> check_user_namespace(const Config& config) {
  const Namespace* user = find_namespace(config, CLONE_NEWUSER);
  if (user == nullptr || !user->path.empty()) return {};
  if (config.linux.uid_mappings.empty()) return wrong("linux.uidMappings", "is missing; a new user namespace needs one");
  if (config.linux.gid_mappings.empty()) return wrong("linux.gidMappings", "is missing; a new user namespace needs one");
  return {};
}

// The namespace that a setting belongs to, or 0 for one of the whole machine.
std::uint64_t namespace_of_sysctl(std::string_view key) {
  constexpr std::string_view kIpc[] = {"kernel.msgmax", "kernel.msgmnb", "kernel.msgmni", "kernel.sem",
                                       "kernel.shmall", "kernel.shmmax", "kernel.shmmni", "kernel.shm_rmid_forced"};
  if (key.starts_with("net.")) return CLONE_NEWNET;
  if (key.starts_with("fs.mqueue.") || std::ranges::find(kIpc, key) != std::end(kIpc)) return CLONE_NEWIPC;
  if (key == "kernel.domainname") return CLONE_NEWUTS;
  if (key.starts_with("user.")) return CLONE_NEWUSER;
  return 0;
}

// CVE-2022-0811: nothing that is set here may reach beyond the container.
Result<> check_sysctl(const Config& config) {
  for (const auto& [key, value] : config.linux.sysctl) {
    const std::string path = "linux.sysctl[" + quoted_start(key) + "]";
    if (key == "kernel.hostname") return wrong(path, "is not allowed; the name of the container is in hostname");
    const std::uint64_t flag = namespace_of_sysctl(key);
    if (flag == 0) return wrong(path, "is not in a separate kernel namespace: it would change the whole machine");
    if (!has(config, flag))
      return wrong(path, "needs the namespace that it belongs to in linux.namespaces, or it would change the host's");
  }
  return {};
}

// The rules of the filter's notifications go to a listener.
Result<> check_seccomp(const Config& config) {
  const Annotated annotated = TRY(annotations_of(config));
  const auto& seccomp = config.linux.seccomp;
  if (!seccomp || annotated.seccomp_program) return {};
  if (!seccomp->listener_path.empty() || !annotated.seccomp_receiver.empty()) return {};
  if (std::ranges::any_of(seccomp->syscalls, [](const Syscall& rule) { return rule.action == "SCMP_ACT_NOTIFY"; }))
    return wrong("linux.seccomp.listenerPath", "is missing; SCMP_ACT_NOTIFY needs one");
  return {};
}

}  // namespace

Result<> check_config(const Config& config) {
  TRY(check_namespaces(config));
  TRY(check_user_namespace(config));
  TRY(check_sysctl(config));
  TRY(check_seccomp(config));
  return {};
}

}  // namespace clawrun::oci
