#include <doctest/doctest.h>
#include <linux/mempolicy.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/personality.h>

#include "oci/config.h"

namespace clawrun::oci {

namespace {

std::string with(std::string_view members) {
  return std::string(R"({"ociVersion":"1.3.0","root":{"path":"rootfs"},"linux":{)").append(members).append("}}");
}

Linux linux_from(std::string_view members) {
  const auto config = parse_config(with(members));
  CAPTURE(members);
  if (!config) FAIL(config.error().message);
  return config->linux;
}

// Without "linux.", which each begins with.
std::string error_of(std::string_view members) {
  const auto config = parse_config(with(members));
  if (config) return "";
  CHECK(config.error().kind == ErrorKind::kInvalid);
  REQUIRE(config.error().message.starts_with("linux."));
  return config.error().message.substr(6);
}

}  // namespace

TEST_CASE("oci linux: namespaces") {
  const Linux out =
      linux_from(R"("namespaces":[{"type":"pid"},{"type":"network","path":"/proc/1/ns/net"},{"type":"time","path":""},)"
                 R"({"type":"mount"},{"type":"ipc"},{"type":"uts"},{"type":"user"},{"type":"cgroup"}])");
  REQUIRE(out.namespaces.size() == 8);
  CHECK(out.namespaces[0].flag == CLONE_NEWPID);
  CHECK(out.namespaces[1].path == "/proc/1/ns/net");
  CHECK(out.namespaces[2].flag == 0x80);
  CHECK(error_of(R"("namespaces":[{"type":"pid"},{"type":"uts"},{"type":"foo"}])") ==
        "namespaces[2].type: \"foo\" is not one of pid, network, mount, ipc, uts, user, cgroup, time");
  CHECK(error_of(R"("namespaces":[{"type":"pid"},{"type":"pid","path":"/x"}])") ==
        "namespaces[1].type: a namespace of this type is there twice");
  CHECK(error_of(R"("namespaces":[{"path":"/x"}])") ==
        "namespaces[0].type: is missing; it must be a type of namespace, such as pid");
  CHECK(error_of(R"("namespaces":[{"type":"pid","path":"x"}])") == "namespaces[0].path: \"x\" is not an absolute path");
  CHECK(error_of(R"("namespaces":{"type":"pid"})") == "namespaces: an object is not a list of namespaces");
}

TEST_CASE("oci linux: id maps") {
  const Linux out = linux_from(R"("uidMappings":[{"containerID":0,"hostID":100000,"size":65536}],)"
                               R"("gidMappings":[{"containerID":0,"hostID":0,"size":4294967295}])");
  CHECK(out.uid_mappings.at(0).host_id == 100000);
  CHECK(out.gid_mappings.at(0).size == UINT32_MAX);
  CHECK(error_of(R"("uidMappings":[{"containerID":0,"hostID":0,"size":0}])") ==
        "uidMappings[0].size: 0 is not a whole number from 1 to 4294967295");
  CHECK(error_of(R"("uidMappings":[{"containerID":0,"hostID":0}])") ==
        "uidMappings[0].size: is missing; it must be the number of ids");
  CHECK(error_of(R"("gidMappings":[{"containerID":1,"hostID":0,"size":4294967295}])") ==
        "gidMappings[0].size: 4294967295 ids from there go beyond the largest id, 4294967294");
  CHECK(error_of(R"("uidMappings":[{"containerID":0,"hostID":0,"size":10},{"containerID":9,"hostID":100,"size":1}])") ==
        "uidMappings[1]: ids inside overlap with those of another range of the map");
  CHECK(error_of(R"("uidMappings":[{"containerID":0,"hostID":5,"size":10},{"containerID":10,"hostID":0,"size":6}])") ==
        "uidMappings[1]: ids outside overlap with those of another range of the map");
  CHECK(error_of(R"("uidMappings":[{"containerID":0,"hostID":0,"size":10},{"containerID":10,"hostID":10,"size":1}])") == "");
  std::string many;
  for (int i = 0; i < 341; ++i)
    many += (i == 0 ? "" : ",") + std::string(R"({"containerID":)") + std::to_string(i) + R"(,"hostID":)" + std::to_string(i) +
            R"(,"size":1})";
  CHECK(error_of(R"("uidMappings":[)" + many + "]") == "uidMappings[340]: more than 340 ranges in one map");
}

TEST_CASE("oci linux: time offsets") {
  const Linux out = linux_from(R"("timeOffsets":{"monotonic":{"secs":-172800},"boottime":{"secs":604800,"nanosecs":999999999}})");
  CHECK(out.time_offsets.at("monotonic").seconds == -172800);
  CHECK(out.time_offsets.at("boottime").nanoseconds == 999999999);
  CHECK(error_of(R"("timeOffsets":{"realtime":{"secs":1}})") ==
        "timeOffsets.realtime: there is no such clock; it must be monotonic or boottime");
  CHECK(error_of(R"("timeOffsets":{"boottime":{"nanosecs":1000000000}})") ==
        "timeOffsets.boottime.nanosecs: 1000000000 is not a whole number from 0 to 999999999");
}

TEST_CASE("oci linux: devices") {
  const Linux out =
      linux_from(R"("devices":[{"path":"/dev/fuse","type":"c","major":10,"minor":229,"fileMode":8624,"uid":0,"gid":5},)"
                 R"({"path":"/dev/p","type":"p","major":-1,"minor":-1},{"path":"/dev/u","type":"u","major":1,"minor":3}])");
  REQUIRE(out.devices.size() == 3);
  CHECK(out.devices[0].file_mode == 0660U);  // without S_IFCHR
  CHECK(out.devices[0].minor == 229);
  CHECK(out.devices[1].type == 'p');
  CHECK(out.devices[2].type == 'c');
  CHECK_FALSE(out.devices[2].uid);
  CHECK(error_of(R"("devices":[{"path":"/d","major":1,"minor":1}])") ==
        "devices[0].type: is missing; it must be one of c, b, u, p");
  CHECK(error_of(R"("devices":[{"type":"c","major":1,"minor":1}])") ==
        "devices[0].path: is missing; it must be an absolute path");
  CHECK(error_of(R"("devices":[{"path":"dev/x","type":"c","major":1,"minor":1}])") ==
        "devices[0].path: \"dev/x\" is not an absolute path");
  CHECK(error_of(R"("devices":[{"path":"/d","type":"c","major":1}])") ==
        "devices[0].minor: is missing; it must be a device number");
  CHECK(error_of(R"("devices":[{"path":"/d","type":"x","major":1,"minor":1}])") ==
        "devices[0].type: \"x\" is not one of c, b, u, p");
  CHECK(error_of(R"("devices":[{"path":"/d","type":"b","major":4096,"minor":1}])") ==
        "devices[0].major: 4096 is not a whole number from 0 to 4095");
}

TEST_CASE("oci linux: network devices") {
  const Linux out = linux_from(R"("netDevices":{"eth0":{"name":"container_eth0"},"ens4":{},"eth0":{"name":"c0"}})");
  REQUIRE(out.net_devices.size() == 2);
  CHECK(out.net_devices[0].host_name == "ens4");
  CHECK(out.net_devices[1].name == "c0");
  for (const char* name : {"a/b", "..", "sixteen-letters-", "a b", "eth%d", "a:1", "\\u001b"}) {
    CAPTURE(name);
    CHECK(error_of(R"("netDevices":{"e":{"name":")" + std::string(name) + R"("}})")
              .find("is not the name of a network interface") != std::string::npos);
    CHECK(error_of(R"("netDevices":{")" + std::string(name) + R"(":{}})").find("is not the name of a network interface") !=
          std::string::npos);
  }
  CHECK(error_of(R"("netDevices":{"a":{"name":"x"},"x":{}})") == "netDevices.x: two devices would have the name \"x\" inside");
}

TEST_CASE("oci linux: sysctl keys stay below /proc/sys, values on one line") {
  CHECK(linux_from(R"("sysctl":{"net.ipv4.ping_group_range":"0 2147483647","kernel.x":""})").sysctl.size() == 2);
  CHECK(linux_from(R"("sysctl":{"net/ipv4/conf/eth0.1/forwarding":"1"})").sysctl.contains("net.ipv4.conf.eth0/1.forwarding"));
  for (const char* key : {"../x", "/kernel", "net.ipv4.//.x", "net/../x", "net.a././/.b", "kernel..x", ".kernel", "kernel.",
                          "a b", "a\\nb", "\\t"}) {
    CAPTURE(key);
    CHECK(error_of(R"("sysctl":{")" + std::string(key) + R"(":"1"})").find("the key is not the name of a setting") !=
          std::string::npos);
  }
  CHECK(error_of(R"("sysctl":{"kernel.shm_rmid_forced":"1\nkernel.core_pattern=|/x"})").find("contains a newline") !=
        std::string::npos);
  CHECK(error_of(R"("sysctl":{"kernel.x":"1\u0000"})") == "sysctl[\"kernel.x\"]: \"1\\x00\" contains a NUL byte");
  CHECK(error_of(R"("sysctl":{"kernel.x":1})") == "sysctl[\"kernel.x\"]: 1 is not a string");
}

TEST_CASE("oci linux: seccomp") {
  const Linux out = linux_from(
      R"("seccomp":{"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":38,"architectures":["SCMP_ARCH_X86_64"],)"
      R"("flags":["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"],"listenerPath":"/run/x.sock","listenerMetadata":"m","syscalls":[)"
      R"({"names":["clone"],"action":"SCMP_ACT_ALLOW","args":[{"index":0,"value":2114060288,"op":"SCMP_CMP_MASKED_EQ"}]},)"
      R"({"names":["mount"],"action":"SCMP_ACT_NOTIFY"},{"names":["x"],"action":"SCMP_ACT_TRACE","errnoRet":65535}]})");
  REQUIRE(out.seccomp);
  CHECK(out.seccomp->default_errno_ret == 38U);
  CHECK(out.seccomp->flags.size() == 1);
  CHECK(out.seccomp->listener_metadata == "m");
  CHECK(out.seccomp->syscalls.at(0).args.at(0).value == 2114060288);
  CHECK(out.seccomp->syscalls.at(0).args.at(0).value_two == 0);
  CHECK(out.seccomp->syscalls.at(2).errno_ret == 65535U);

  const auto rule_error = [](std::string_view rule) {
    return error_of(std::string(R"("seccomp":{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[)").append(rule).append("]}"));
  };
  CHECK(error_of(R"("seccomp":{})") == "seccomp.defaultAction: is missing; it must be an action such as SCMP_ACT_ERRNO");
  CHECK(error_of(R"("seccomp":{"defaultAction":"ALLOW"})")
            .starts_with("seccomp.defaultAction: \"ALLOW\" is not one of SCMP_ACT_KILL,"));
  CHECK(error_of(R"("seccomp":{"defaultAction":"SCMP_ACT_NOTIFY"})") ==
        "seccomp.defaultAction: SCMP_ACT_NOTIFY cannot be the default action");
  CHECK(error_of(R"("seccomp":{"defaultAction":"SCMP_ACT_ALLOW","architectures":["X"]})")
            .starts_with("seccomp.architectures[0]: \"X\" is not one of"));
  CHECK(error_of(R"("seccomp":{"defaultAction":"SCMP_ACT_ALLOW","flags":["X"]})")
            .starts_with("seccomp.flags[0]: \"X\" is not one of"));
  CHECK(error_of(R"("seccomp":{"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":4096})") ==
        "seccomp.defaultErrnoRet: 4096 is not a whole number from 0 to 4095");
  CHECK(error_of(R"("seccomp":{"defaultAction":"SCMP_ACT_ALLOW","listenerMetadata":"m"})") ==
        "seccomp.listenerMetadata: goes with listenerPath only");
  CHECK(rule_error(R"({"action":"SCMP_ACT_ALLOW"})") ==
        "seccomp.syscalls[0].names: is missing; it must be a list of system calls");
  CHECK(rule_error(R"({"names":[],"action":"SCMP_ACT_ALLOW"})") ==
        "seccomp.syscalls[0].names: is empty; it must be a list of system calls");
  CHECK(rule_error(R"({"names":["a"]})") ==
        "seccomp.syscalls[0].action: is missing; it must be an action such as SCMP_ACT_ALLOW");
  CHECK(rule_error(R"({"names":["read","write"],"action":"SCMP_ACT_NOTIFY"})") ==
        "seccomp.syscalls[0].action: SCMP_ACT_NOTIFY cannot be used for the write syscall");
  CHECK(rule_error(R"({"names":["a"],"action":"SCMP_ACT_LOG","args":[{"index":6,"value":0,"op":"SCMP_CMP_EQ"}]})") ==
        "seccomp.syscalls[0].args[0].index: 6 is not a whole number from 0 to 5");
  CHECK(rule_error(R"({"names":["a"],"action":"SCMP_ACT_LOG","args":[{"index":0,"op":"SCMP_CMP_EQ"}]})") ==
        "seccomp.syscalls[0].args[0].value: is missing; it must be a whole number");
  CHECK(rule_error(R"({"names":["a"],"action":"SCMP_ACT_LOG","args":[{"index":0,"value":1.5,"op":"SCMP_CMP_EQ"}]})") ==
        "seccomp.syscalls[0].args[0].value: 1.5 is not a whole number from 0 to 18446744073709551615");
  CHECK(rule_error(R"({"names":["a"],"action":"SCMP_ACT_LOG","args":[{"index":0,"value":1,"op":"=="}]})")
            .starts_with("seccomp.syscalls[0].args[0].op: \"==\" is not one of SCMP_CMP_NE"));
}

TEST_CASE("oci linux: propagation and paths") {
  CHECK(linux_from(R"("rootfsPropagation":"slave")").rootfs_propagation == MS_SLAVE);
  CHECK(linux_from(R"("rootfsPropagation":"rshared")").rootfs_propagation == (MS_SHARED | MS_REC));
  CHECK(linux_from(R"("rootfsPropagation":"")").rootfs_propagation == 0);
  CHECK(error_of(R"("rootfsPropagation":"none")") ==
        "rootfsPropagation: \"none\" is not one of shared, slave, private, unbindable, rshared, rslave, rprivate, runbindable");
  CHECK(linux_from(R"("maskedPaths":["/proc/kcore"],"readonlyPaths":null)").masked_paths.size() == 1);
  CHECK(error_of(R"("maskedPaths":["/a","b"])") == "maskedPaths[1]: \"b\" is not an absolute path");
  CHECK(error_of(R"("readonlyPaths":["/a\u0000"])") == "readonlyPaths[0]: \"/a\\x00\" contains a NUL byte");
  CHECK(error_of(R"("cgroupsPath":7)") == "cgroupsPath: 7 is not a string");
}

TEST_CASE("oci linux: RDT, memory policy, personality") {
  const Linux out = linux_from(
      R"("intelRdt":{"closID":"guaranteed","schemata":["L3:0=f","MB:0=20"],"memBwSchema":"MB:0=20;1=70",)"
      R"("enableMonitoring":true},"memoryPolicy":{"mode":"MPOL_INTERLEAVE","nodes":"0-1","flags":["MPOL_F_STATIC_NODES"]},)"
      R"("personality":{"domain":"LINUX32","flags":[]})");
  CHECK(out.intel_rdt->clos_id == "guaranteed");
  CHECK(out.intel_rdt->schemata.size() == 2);
  CHECK(out.intel_rdt->enable_monitoring);
  CHECK(out.memory_policy->mode == MPOL_INTERLEAVE);
  CHECK(out.memory_policy->flags == MPOL_F_STATIC_NODES);
  CHECK(out.personality == static_cast<std::uint32_t>(PER_LINUX32));
  CHECK(linux_from(R"("intelRdt":{"closID":"/"})").intel_rdt->clos_id == "/");
  for (const char* id : {"..", ".", "a/b", "/a", "a\\nb"}) {
    CAPTURE(id);
    CHECK(error_of(R"("intelRdt":{"closID":")" + std::string(id) + R"("})").find("is not the name of a group") !=
          std::string::npos);
  }
  CHECK(error_of(R"("intelRdt":{"memBwSchema":"MB:0=1\nL3:0=f"})").find("contains a newline") != std::string::npos);
  CHECK(error_of(R"("intelRdt":{"enableCMT":"yes"})") == "intelRdt.enableCMT: \"yes\" is not true or false");
  CHECK(error_of(R"("memoryPolicy":{"nodes":"0"})") ==
        "memoryPolicy.mode: is missing; it must be a mode such as MPOL_INTERLEAVE");
  CHECK(error_of(R"("memoryPolicy":{"mode":"MPOL_X"})").starts_with("memoryPolicy.mode: \"MPOL_X\" is not one of MPOL_DEFAULT"));
  CHECK(error_of(R"("memoryPolicy":{"mode":"MPOL_LOCAL","nodes":"0"})") ==
        "memoryPolicy.nodes: must be empty for MPOL_DEFAULT and MPOL_LOCAL");
  CHECK(error_of(R"("memoryPolicy":{"mode":"MPOL_BIND"})") ==
        "memoryPolicy.nodes: is missing; it must be a list of nodes such as \"0-1\" for this mode");
  CHECK(error_of(R"("memoryPolicy":{"mode":"MPOL_BIND","nodes":"0","flags":["MPOL_F_STATIC_NODES","MPOL_F_RELATIVE_NODES"]})") ==
        "memoryPolicy.flags: MPOL_F_STATIC_NODES and MPOL_F_RELATIVE_NODES exclude each other");
  CHECK(linux_from(R"("memoryPolicy":{"mode":"MPOL_PREFERRED","nodes":""})").memory_policy->mode == MPOL_PREFERRED);
  CHECK(error_of(R"("personality":{"domain":"BSD"})") == "personality.domain: \"BSD\" is not one of LINUX, LINUX32");
  CHECK(error_of(R"("personality":{"domain":"LINUX","flags":["x"]})") ==
        "personality.flags: must be empty: the specification has no flags yet");
}

}  // namespace clawrun::oci
