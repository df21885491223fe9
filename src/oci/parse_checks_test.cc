#include <doctest/doctest.h>

#include "oci/config.h"

namespace clawrun::oci {

namespace {

std::string error_of(std::string_view top, std::string_view linux_part) {
  const auto config = parse_config(std::string(R"({"ociVersion":"1.3.0","root":{"path":"r"})")
                                       .append(top)
                                       .append(R"(,"linux":{)")
                                       .append(linux_part)
                                       .append("}}"));
  REQUIRE(config);
  const auto checked = check_config(*config);
  if (checked) return "";
  CHECK(checked.error().kind == ErrorKind::kInvalid);
  return checked.error().message;
}

std::string sysctl_error(std::string_view key, std::string_view type) {
  return error_of("", std::string(R"("uidMappings":[{"containerID":0,"hostID":0,"size":1}],)")
                          .append(R"("gidMappings":[{"containerID":0,"hostID":0,"size":1}],)")
                          .append(R"("namespaces":[{"type":"user","path":"/u"},{"type":")")
                          .append(type)
                          .append(R"("}],"sysctl":{")")
                          .append(key)
                          .append(R"(":"1"})"));
}

}  // namespace

TEST_CASE("oci checks: what is set in a namespace needs it") {
  CHECK(error_of("", "") == "");
  CHECK(error_of(R"(,"hostname":"h")", "") == "hostname: needs a uts namespace in linux.namespaces");
  CHECK(error_of(R"(,"hostname":"h")", R"("namespaces":[{"type":"uts","path":"/x"}])") == "");
  CHECK(error_of(R"(,"domainname":"h")", "") == "domainname: needs a uts namespace in linux.namespaces");
  CHECK(error_of("", R"("uidMappings":[{"containerID":0,"hostID":0,"size":1}])") ==
        "linux.uidMappings: needs a user namespace in linux.namespaces");
  CHECK(error_of("", R"("namespaces":[{"type":"user"}],"uidMappings":[{"containerID":0,"hostID":0,"size":1}])") ==
        "linux.gidMappings: is missing; a new user namespace needs one");
  CHECK(error_of("", R"("namespaces":[{"type":"user","path":"/x"}])") == "");
  CHECK(error_of("", R"("timeOffsets":{"boottime":{"secs":1}})") ==
        "linux.timeOffsets: needs a time namespace in linux.namespaces");
  CHECK(error_of("", R"("timeOffsets":{"boottime":{"secs":1}},"namespaces":[{"type":"time","path":"/x"}])") ==
        "linux.timeOffsets: needs a new time namespace, not one that is joined by its path");
  CHECK(error_of("", R"("netDevices":{"eth0":{}})") == "linux.netDevices: needs a network namespace in linux.namespaces");
  CHECK(error_of("", R"("maskedPaths":["/a"])") == "linux.maskedPaths: needs a mount namespace in linux.namespaces");
}

TEST_CASE("oci checks: a sysctl belongs to a namespace of the container") {
  CHECK(sysctl_error("net.ipv4.ip_forward", "network") == "");
  CHECK(sysctl_error("fs.mqueue.msg_max", "ipc") == "");
  CHECK(sysctl_error("kernel.shm_rmid_forced", "ipc") == "");
  CHECK(sysctl_error("kernel.domainname", "uts") == "");
  CHECK(sysctl_error("user.max_user_namespaces", "uts") == "");
  CHECK(sysctl_error("net.ipv4.ip_forward", "ipc").starts_with("linux.sysctl[\"net.ipv4.ip_forward\"]: needs the namespace"));
  CHECK(sysctl_error("kernel.hostname", "uts").starts_with("linux.sysctl[\"kernel.hostname\"]: is not allowed"));
  for (const char* key :
       {"kernel.core_pattern", "vm.overcommit_memory", "fs.file-max", "kernel.semx", "net", "kernel.msgmax.x"}) {
    CAPTURE(key);
    CHECK(sysctl_error(key, "ipc").find("is not in a separate kernel namespace") != std::string::npos);
  }
}

TEST_CASE("oci checks: notifications need a listener") {
  constexpr std::string_view kNotify =
      R"("seccomp":{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["mount"],"action":"SCMP_ACT_NOTIFY"}])";
  CHECK(error_of("", std::string(kNotify) + "}") == "linux.seccomp.listenerPath: is missing; SCMP_ACT_NOTIFY needs one");
  CHECK(error_of("", std::string(kNotify) + R"(,"listenerPath":"/s"})") == "");
  CHECK(error_of(R"(,"annotations":{"run.oci.seccomp.receiver":"/s"})", std::string(kNotify) + "}") == "");
}

}  // namespace clawrun::oci
