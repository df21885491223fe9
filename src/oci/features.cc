#include "oci/features.h"

#include <nlohmann/json.hpp>

#include "oci/annotations.h"
#include "oci/seccomp_arch.h"
#include "oci/seccomp_rules.h"
#include "tables/capabilities.h"

namespace clawrun::oci {

namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kHooks[] = {"prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"};
constexpr std::string_view kNamespaces[] = {"cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts"};
constexpr std::string_view kMemoryModes[] = {"MPOL_BIND",      "MPOL_DEFAULT",        "MPOL_INTERLEAVE",         "MPOL_LOCAL",
                                             "MPOL_PREFERRED", "MPOL_PREFERRED_MANY", "MPOL_WEIGHTED_INTERLEAVE"};
constexpr std::string_view kMemoryFlags[] = {"MPOL_F_NUMA_BALANCING", "MPOL_F_RELATIVE_NODES", "MPOL_F_STATIC_NODES"};

constexpr std::string_view kMountOptions[] = {
    "async",          "atime",       "bind",         "copy-symlink", "defaults",   "dest-nofollow", "dev",        "diratime",
    "dirsync",        "exec",        "idmap",        "iversion",     "lazytime",   "loud",          "mand",       "noatime",
    "nodev",          "nodiratime",  "noexec",       "noiversion",   "nolazytime", "nomand",        "norelatime", "nostrictatime",
    "nosuid",         "nosymfollow", "private",      "ratime",       "rbind",      "rdev",          "rdiratime",  "relatime",
    "remount",        "rexec",       "ridmap",       "rnoatime",     "rnodev",     "rnodiratime",   "rnoexec",    "rnorelatime",
    "rnostrictatime", "rnosuid",     "rnosymfollow", "ro",           "rprivate",   "rrelatime",     "rro",        "rrw",
    "rshared",        "rslave",      "rstrictatime", "rsuid",        "rsymfollow", "runbindable",   "rw",         "shared",
    "silent",         "slave",       "src-nofollow", "strictatime",  "suid",       "symfollow",     "sync",       "tmpcopyup",
    "unbindable",
};

template <typename List>
Json words(const List& list) {
  Json all = Json::array();
  for (const std::string_view word : list) all.push_back(word);
  return all;
}

Json enabled(bool value) {
  return {{"enabled", value}};
}

Json capabilities(std::uint64_t known) {
  Json names = Json::array();
  for (std::size_t i = 0; i < tables::kCapabilities.size(); ++i)
    if ((known >> i & 1U) != 0) names.push_back("CAP_" + std::string(tables::kCapabilities[i]));
  return names;
}

Json seccomp(const FeatureFacts& facts) {
  Json value = enabled(facts.seccomp);
  if (!facts.seccomp) return value;
  value["actions"] = words(known_seccomp_actions());
  value["operators"] = words(known_seccomp_operators());
  value["archs"] = words(known_seccomp_arches());
  value["knownFlags"] = words(known_seccomp_flags());
  value["supportedFlags"] = words(seccomp_flag_words(facts.seccomp_kernel_flags));
  return value;
}

Json linux_features(const FeatureFacts& facts) {
  Json value;
  value["namespaces"] = words(kNamespaces);
  value["capabilities"] = capabilities(facts.capabilities);
  value["cgroup"] = {{"v1", facts.cgroup_v1},
                     {"v2", facts.cgroup_v2},
                     {"systemd", facts.cgroup_systemd},
                     {"systemdUser", facts.cgroup_systemd_user},
                     {"rdma", facts.cgroup_rdma}};
  value["seccomp"] = seccomp(facts);
  value["apparmor"] = enabled(facts.apparmor);
  value["selinux"] = enabled(facts.selinux);
  value["intelRdt"] = {
      {"enabled", facts.intel_rdt}, {"schemata", facts.intel_rdt_schemata}, {"monitoring", facts.intel_rdt_monitoring}};
  if (facts.memory_policy) value["memoryPolicy"] = {{"modes", words(kMemoryModes)}, {"flags", words(kMemoryFlags)}};
  value["mountExtensions"] = {{"idmap", enabled(facts.idmap_mounts)}};
  value["netDevices"] = enabled(facts.net_devices);
  return value;
}

Json annotations(const FeatureFacts& facts) {
  Json value = Json::object();
  if (!facts.libseccomp_version.empty()) value["io.github.seccomp.libseccomp.version"] = facts.libseccomp_version;
  // The key by which engines have come to ask, of whatever runtime.
  if (facts.checkpoint) value["org.opencontainers.runc.checkpoint.enabled"] = "true";
  if (!facts.version.empty()) value["run.clawrun.version"] = facts.version;
  return value;
}

}  // namespace

std::vector<std::string_view> known_mount_options() {
  return {std::begin(kMountOptions), std::end(kMountOptions)};
}

std::string features_json(const FeatureFacts& facts) {
  Json value;
  value["ociVersionMin"] = "1.0.0";
  value["ociVersionMax"] = "1.3.0";
  value["hooks"] = words(kHooks);
  value["mountOptions"] = words(kMountOptions);
  value["linux"] = linux_features(facts);
  value["annotations"] = annotations(facts);
  value["potentiallyUnsafeConfigAnnotations"] = words(unsafe_annotations());
  return value.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace clawrun::oci
