#include "oci/spec.h"

#include <nlohmann/json.hpp>

namespace clawrun::oci {

namespace {

using Json = nlohmann::ordered_json;

Json process() {
  const Json capabilities = {"CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"};
  Json json;
  json["terminal"] = true;
  json["user"] = {{"uid", 0}, {"gid", 0}};
  json["args"] = Json::array({"sh"});
  json["env"] = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"};
  json["cwd"] = "/";
  // Nothing inheritable: CVE-2022-24769, CVE-2022-29162.
  for (const char* set : {"bounding", "effective", "permitted", "ambient"}) json["capabilities"][set] = capabilities;
  json["rlimits"] = Json::array({{{"type", "RLIMIT_NOFILE"}, {"hard", 1024}, {"soft", 1024}}});
  json["noNewPrivileges"] = true;
  return json;
}

Json mount(const char* destination, const char* type, const char* source, const Json& options) {
  Json json = {{"destination", destination}, {"type", type}, {"source", source}};
  if (!options.empty()) json["options"] = options;
  return json;
}

Json mounts(bool rootless) {
  // In a user namespace of one id there is no group 5, and without a network namespace of its own no fresh sysfs: mount(2).
  Json pts = {"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"};
  if (!rootless) pts.push_back("gid=5");
  Json list = Json::array();
  list.push_back(mount("/proc", "proc", "proc", Json::array()));
  list.push_back(mount("/dev", "tmpfs", "tmpfs", {"nosuid", "strictatime", "mode=755", "size=65536k"}));
  list.push_back(mount("/dev/pts", "devpts", "devpts", pts));
  list.push_back(mount("/dev/shm", "tmpfs", "shm", {"nosuid", "noexec", "nodev", "mode=1777", "size=65536k"}));
  list.push_back(mount("/dev/mqueue", "mqueue", "mqueue", {"nosuid", "noexec", "nodev"}));
  list.push_back(rootless ? mount("/sys", "none", "/sys", {"rbind", "nosuid", "noexec", "nodev", "ro"})
                          : mount("/sys", "sysfs", "sysfs", {"nosuid", "noexec", "nodev", "ro"}));
  list.push_back(mount("/sys/fs/cgroup", "cgroup", "cgroup", {"nosuid", "noexec", "nodev", "relatime", "ro"}));
  return list;
}

Json one_id(std::uint32_t host_id) {
  return Json::array({{{"containerID", 0}, {"hostID", host_id}, {"size", 1}}});
}

Json namespaces(const StarterOptions& options) {
  Json list = Json::array();
  const auto add = [&](const char* type) { list.push_back(Json{{"type", type}}); };
  add("pid");
  if (!options.rootless) add("network");
  for (const char* type : {"ipc", "uts", "mount"}) add(type);
  if (options.cgroup_namespace) add("cgroup");
  if (options.rootless) add("user");
  return list;
}

Json linux_part(const StarterOptions& options) {
  Json json;
  if (options.rootless) {
    json["uidMappings"] = one_id(options.rootless->uid);
    json["gidMappings"] = one_id(options.rootless->gid);
  } else {
    json["resources"]["devices"] = Json::array({{{"allow", false}, {"access", "rwm"}}});
  }
  json["namespaces"] = namespaces(options);
  json["maskedPaths"] = {"/proc/acpi",       "/proc/asound",      "/proc/kcore",       "/proc/keys",    "/proc/latency_stats",
                         "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/sys/firmware", "/proc/scsi"};
  json["readonlyPaths"] = {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"};
  return json;
}

}  // namespace

std::string starter_config(const StarterOptions& options) {
  Json json;
  json["ociVersion"] = kSpecVersion;
  json["process"] = process();
  json["root"] = {{"path", "rootfs"}, {"readonly", true}};
  json["hostname"] = "clawrun";
  json["mounts"] = mounts(options.rootless.has_value());
  json["linux"] = linux_part(options);
  return json.dump(1, '\t');
}

}  // namespace clawrun::oci
