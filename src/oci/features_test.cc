#include "oci/features.h"

#include <doctest/doctest.h>
#include <linux/seccomp.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "oci/config.h"
#include "oci/seccomp.h"
#include "seccomp/cache.h"

namespace clawrun::oci {

namespace {

using nlohmann::json;

// runtime-spec 1.3, schema/features-linux.json and features-schema.json, as far as it has types: a member that is not here is
// unknown.
const json kShape = json::parse(R"({
  "ociVersionMin": "text", "ociVersionMax": "text", "hooks": ["text"], "mountOptions": ["text"],
  "annotations": {"*": "text"}, "potentiallyUnsafeConfigAnnotations": ["text"],
  "linux": {
    "namespaces": ["text"], "capabilities": ["text"],
    "cgroup": {"v1": true, "v2": true, "systemd": true, "systemdUser": true, "rdma": true},
    "seccomp": {"enabled": true, "actions": ["text"], "operators": ["text"], "archs": ["text"],
                "knownFlags": ["text"], "supportedFlags": ["text"]},
    "apparmor": {"enabled": true}, "selinux": {"enabled": true},
    "intelRdt": {"enabled": true, "schemata": true, "monitoring": true},
    "memoryPolicy": {"modes": ["text"], "flags": ["text"]},
    "mountExtensions": {"idmap": {"enabled": true}}, "netDevices": {"enabled": true}
  }
})");

void check_shape(const json& value, const json& shape, const std::string& path) {
  CAPTURE(path);
  REQUIRE(value.type() == shape.type());
  if (value.is_object())
    for (const auto& [key, member] : value.items()) {
      REQUIRE_MESSAGE((shape.contains(key) || shape.contains("*")), key);
      check_shape(member, shape.contains(key) ? shape.at(key) : shape.at("*"), path + "." + key);
    }
  if (value.is_array())
    for (const json& element : value) check_shape(element, shape[0], path + "[]");
}

FeatureFacts everything() {
  return {.version = "0.1.0",
          .libseccomp_version = "2.5.4",
          .capabilities = UINT64_MAX,
          .seccomp_kernel_flags = ~0U,
          .cgroup_v1 = true,
          .cgroup_v2 = true,
          .cgroup_systemd = true,
          .cgroup_systemd_user = true,
          .cgroup_rdma = true,
          .seccomp = true,
          .apparmor = true,
          .selinux = true,
          .intel_rdt = true,
          .intel_rdt_schemata = true,
          .intel_rdt_monitoring = true,
          .memory_policy = true,
          .idmap_mounts = true,
          .net_devices = true,
          .checkpoint = true};
}

}  // namespace

TEST_CASE("features has the members of the specification, of their types, and all of them") {
  const json all = json::parse(features_json(everything()));
  check_shape(all, kShape, "");
  check_shape(json::parse(features_json({})), kShape, "");
  for (const auto& [key, shape] : kShape.items()) CHECK_MESSAGE(all.contains(key), key);
  for (const auto& [key, shape] : kShape.at("linux").items()) CHECK_MESSAGE(all.at("linux").contains(key), key);
  CHECK(all.at("ociVersionMin") == "1.0.0");
  CHECK(all.at("ociVersionMax") == "1.3.0");
  CHECK(all.at("linux").at("capabilities").size() == 41);
  CHECK(all.at("linux").at("capabilities").at(0) == "CAP_CHOWN");
  CHECK(all.at("annotations").at("org.opencontainers.runc.checkpoint.enabled") == "true");
}

TEST_CASE("what the host does not have is not promised") {
  const json none = json::parse(features_json({}));
  const json& linux_part = none.at("linux");
  CHECK(linux_part.at("capabilities").empty());
  CHECK(linux_part.at("seccomp") == json{{"enabled", false}});
  CHECK(linux_part.at("cgroup").at("v2") == false);
  CHECK(linux_part.at("mountExtensions").at("idmap").at("enabled") == false);
  CHECK_FALSE(linux_part.contains("memoryPolicy"));
  CHECK(none.at("annotations").empty());
  FeatureFacts old_kernel;
  old_kernel.seccomp = true;
  old_kernel.seccomp_kernel_flags = SECCOMP_FILTER_FLAG_LOG;
  const json old = json::parse(features_json(old_kernel));
  CHECK(old.at("linux").at("seccomp").at("supportedFlags") == json{"SECCOMP_FILTER_FLAG_LOG"});
  CHECK(old.at("linux").at("seccomp").at("knownFlags").size() == 4);
}

TEST_CASE("every mount option that is promised is understood, and no other is left to the file system") {
  const auto words = known_mount_options();
  CHECK(std::ranges::is_sorted(words));
  CHECK(std::ranges::adjacent_find(words) == words.end());
  for (const std::string_view word : words) {
    const auto options = parse_mount_options({std::string(word)}, "mounts[0].options");
    REQUIRE(options);
    CHECK_MESSAGE(options->data.empty(), word);
  }
  // Every flag word of the parser's file is a known one.
  const auto text = seccomp::read_profile_file(std::string(CLAWRUN_SOURCE_DIR) + "/src/oci/mount_options.cc");
  REQUIRE(text);
  const std::string& source = *text;
  std::size_t found = 0;
  for (std::size_t at = source.find("{\""); at != std::string::npos; at = source.find("{\"", at + 1), ++found) {
    const std::string word = source.substr(at + 2, source.find('"', at + 2) - at - 2);
    CHECK_MESSAGE(std::ranges::find(words, word) != words.end(), word);
  }
  CHECK(found > 50);
}

TEST_CASE("every promised word of seccomp compiles") {
  const json seccomp = json::parse(features_json(everything())).at("linux").at("seccomp");
  for (const std::string action : seccomp.at("actions"))
    for (const std::string op : seccomp.at("operators")) {
      Seccomp config;
      config.default_action = "SCMP_ACT_ALLOW";
      config.architectures = seccomp.at("archs");
      config.flags = seccomp.at("knownFlags");
      config.syscalls.push_back({.names = {"read"}, .action = action, .errno_ret = {}, .args = {{.op = op}}});
      CHECK_MESSAGE(compile_seccomp(config), action, " ", op);
    }
}

}  // namespace clawrun::oci
