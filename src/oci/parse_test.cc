#include <doctest/doctest.h>
#include <sys/mount.h>

#include <nlohmann/json.hpp>

#include "oci/config.h"

namespace clawrun::oci {

namespace {

using Json = nlohmann::json;

std::string with(std::string_view members) {
  std::string json = R"({"ociVersion":"1.3.0","root":{"path":"rootfs"})";
  if (!members.empty()) json += ",";
  return json.append(members).append("}");
}

Config config_from(const std::string& json) {
  const auto config = parse_config(json);
  CAPTURE(json);
  if (!config) FAIL(config.error().message);
  return *config;
}

std::string error_of(const std::string& json) {
  const auto config = parse_config(json);
  if (config) return "";
  CHECK(config.error().kind == ErrorKind::kInvalid);
  return config.error().message;
}

std::string mount_error(std::string_view members) {
  return error_of(with(std::string(R"("mounts":[{"destination":"/a")").append(members).append("}]")));
}

// Every member that is read, once.
constexpr std::string_view kFull = R"({
  "ociVersion": "1.3.0-rc.1+meta", "root": {"path": "/r", "readonly": true}, "hostname": "h", "domainname": "d",
  "annotations": {"a.b/c": "x", "e": ""},
  "mounts": [{"destination": "/m", "type": "bind", "source": "/s", "options": ["rbind", "rro", "size=1"],
    "uidMappings": [{"containerID": 0, "hostID": 1, "size": 1}], "gidMappings": [{"containerID": 0, "hostID": 1, "size": 1}]}],
  "hooks": {
    "prestart": [{"path": "/h", "args": ["h", "x"], "env": ["A=b"], "timeout": 5}], "createRuntime": [{"path": "/h"}],
    "createContainer": [{"path": "/h"}], "startContainer": [{"path": "/h"}], "poststart": [{"path": "/h"}],
    "poststop": [{"path": "/h"}]},
  "process": {
    "terminal": true, "consoleSize": {"height": 24, "width": 80},
    "user": {"uid": 1, "gid": 2, "umask": 18, "additionalGids": [3]}, "args": ["sh"], "env": ["A=b"], "cwd": "/",
    "capabilities": {"bounding": ["CAP_KILL"], "effective": ["CAP_KILL"], "inheritable": ["CAP_KILL"], "permitted": ["CAP_KILL"],
      "ambient": ["CAP_KILL"]},
    "rlimits": [{"type": "RLIMIT_CORE", "soft": 1, "hard": 2}], "noNewPrivileges": true, "apparmorProfile": "p",
    "selinuxLabel": "l", "oomScoreAdj": 100,
    "scheduler": {"policy": "SCHED_DEADLINE", "nice": 0, "priority": 0, "flags": ["SCHED_FLAG_RECLAIM"], "runtime": 1000,
      "deadline": 2000, "period": 3000},
    "ioPriority": {"class": "IOPRIO_CLASS_IDLE", "priority": 1}, "execCPUAffinity": {"initial": "0", "final": "0-1"}},
  "linux": {
    "namespaces": [{"type": "pid", "path": "/n"}], "uidMappings": [{"containerID": 0, "hostID": 1, "size": 1}],
    "gidMappings": [{"containerID": 0, "hostID": 1, "size": 1}], "timeOffsets": {"boottime": {"secs": 1, "nanosecs": 1}},
    "devices": [{"type": "c", "path": "/d", "major": 1, "minor": 3, "fileMode": 438, "uid": 0, "gid": 0}],
    "netDevices": {"eth0": {"name": "eth1"}}, "cgroupsPath": "/c", "sysctl": {"kernel.msgmax": "1"},
    "rootfsPropagation": "rslave", "maskedPaths": ["/a"], "readonlyPaths": ["/b"], "mountLabel": "m",
    "resources": {
      "devices": [{"allow": true, "type": "c", "major": 1, "minor": 3, "access": "rwm"}],
      "memory": {"limit": 7, "reservation": 7, "swap": 7, "kernel": 7, "kernelTCP": 7, "swappiness": 7, "disableOOMKiller": true,
        "useHierarchy": true, "checkBeforeUpdate": true},
      "cpu": {"shares": 7, "quota": 7, "burst": 7, "period": 7, "realtimeRuntime": 7, "realtimePeriod": 7, "cpus": "0",
        "mems": "0", "idle": 1},
      "pids": {"limit": 7},
      "blockIO": {"weight": 20, "leafWeight": 20, "weightDevice": [{"major": 8, "minor": 0, "weight": 20, "leafWeight": 20}],
        "throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 7}],
        "throttleWriteBpsDevice": [{"major": 8, "minor": 0, "rate": 7}],
        "throttleReadIOPSDevice": [{"major": 8, "minor": 0, "rate": 7}],
        "throttleWriteIOPSDevice": [{"major": 8, "minor": 0, "rate": 7}]},
      "hugepageLimits": [{"pageSize": "2MB", "limit": 7}],
      "network": {"classID": 7, "priorities": [{"name": "lo", "priority": 7}]},
      "rdma": {"mlx": {"hcaHandles": 7, "hcaObjects": 7}}, "unified": {"memory.high": "7"}},
    "seccomp": {"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 1, "architectures": ["SCMP_ARCH_X86_64"],
      "flags": ["SECCOMP_FILTER_FLAG_LOG"], "listenerPath": "/l", "listenerMetadata": "m",
      "syscalls": [{"names": ["read"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1,
        "args": [{"index": 0, "value": 1, "valueTwo": 2, "op": "SCMP_CMP_EQ"}]}]},
    "intelRdt": {"closID": "c", "schemata": ["L3:0=f"], "l3CacheSchema": "L3:0=f", "memBwSchema": "MB:0=1",
      "enableMonitoring": true, "enableCMT": true, "enableMBM": true},
    "memoryPolicy": {"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES"]},
    "personality": {"domain": "LINUX", "flags": []}}})";

// Pointers to every value below `json`, with the paths that messages use.
void collect(const Json& json, const Json::json_pointer& at, const std::string& path,
             std::vector<std::pair<Json::json_pointer, std::string>>& out) {
  const auto plain = [](const std::string& key) { return key.find_first_of("./") == std::string::npos; };
  if (!at.empty()) out.emplace_back(at, path);
  if (json.is_object())
    for (const auto& [key, value] : json.items())
      collect(value, at / key, plain(key) ? path + (path.empty() ? "" : ".") + key : path + "[\"" + key + "\"]", out);
  if (json.is_array())
    for (std::size_t i = 0; i < json.size(); ++i) collect(json[i], at / i, path + "[" + std::to_string(i) + "]", out);
}

bool is_same_type(const Json& a, const Json& b) {
  return a.type() == b.type() || (a.is_number_integer() && b.is_number_integer());
}

}  // namespace

TEST_CASE("oci config: the least that is one, and what must be there") {
  const Config config = config_from(with(""));
  CHECK(config.oci_version == "1.3.0");
  CHECK(config.root.path == "rootfs");
  CHECK_FALSE(config.root.readonly);
  CHECK_FALSE(config.process);
  CHECK_FALSE(config.linux.resources);
  CHECK_FALSE(config.linux.seccomp);

  CHECK(error_of("{}") == "ociVersion: is missing; it must be the version of the specification, such as \"1.3.0\"");
  CHECK(error_of(R"({"ociVersion":"1.0.0"})") == "root: is missing; it must be an object with the path of the root filesystem");
  CHECK(error_of(R"({"ociVersion":"1.0.0","root":{}})") == "root.path: is missing; it must be the path of the root filesystem");
  CHECK(error_of(R"({"ociVersion":"1.0.0","root":{"path":""}})") ==
        "root.path: is empty; it must be the path of the root filesystem");
  CHECK(error_of(R"({"ociVersion":"1.0.0","root":{"path":"a\u0000b"}})") == "root.path: \"a\\x00b\" contains a NUL byte");
  CHECK(error_of(with(R"("process":{"args":["a"]})")) == "process.cwd: is missing; it must be an absolute path");
  CHECK(error_of("[]") == "a list is not an object");
  CHECK(error_of("\"x\"") == "\"x\" is not an object");
  CHECK(error_of("") == "not JSON: a mistake in line 1, column 1, where the text ends");
  CHECK(error_of(std::string(kMaxConfigBytes + 1, ' ')) == "larger than the largest allowed size, 16m");
}

TEST_CASE("oci config: versions") {
  const auto version_error = [](const std::string& version) {
    return error_of(R"({"ociVersion":")" + version + R"(","root":{"path":"r"}})");
  };
  for (const char* version : {"1.0.0", "1.0.2-dev", "1.3.0", "1.99.0", "1.0.0-rc.1+build.5", "1.2.1+dev"}) {
    CAPTURE(version);
    CHECK(version_error(version) == "");
  }
  for (const char* version :
       {"", "1", "1.0", "v1.0.0", "1.0.0.0", "01.0.0", "1.00.0", "1.0.0-", "1.0.0 ", "1.0.0-ä", "1..0", "-1.0.0"}) {
    CAPTURE(version);
    CHECK(version_error(version).find("is not a version such as \"1.3.0\"") != std::string::npos);
  }
  for (const char* version : {"0.9.0", "2.0.0", "2.0.0-dev", "10.0.0", "99999999999999999999.0.0"}) {
    CAPTURE(version);
    CHECK(version_error(version) ==
          "ociVersion: version \"" + std::string(version) + "\" is not supported; it must be 1.0.0 or later, and below 2.0.0");
  }
}

TEST_CASE("oci config: unknown members are ignored, null is absent, the last of two counts") {
  CHECK(error_of(with(R"("windows":{"x":[[[1.5]]]},"vm":7,"x\u0000":"\u0000","linux":{"new":{"a":null}})")) == "");
  CHECK_FALSE(
      config_from(with(R"("process":null,"linux":null,"mounts":null,"hooks":null,"annotations":null,"hostname":null)")).process);
  CHECK(config_from(with(R"("hostname":"a","hostname":"b","root":{"path":"z"})")).hostname == "b");
  CHECK(config_from(with(R"("root":{"path":"z"})")).root.path == "z");
}

TEST_CASE("oci config: names") {
  CHECK(config_from(with(R"("hostname":")" + std::string(64, 'h') + "\"")).hostname.size() == 64);
  CHECK(error_of(with(R"("hostname":")" + std::string(65, 'h') + "\"")).ends_with("is longer than 64 bytes"));
  CHECK(error_of(with(R"("domainname":")" + std::string(65, 'h') + "\"")).starts_with("domainname: "));
  CHECK(error_of(with(R"("annotations":{"":"x"})")) == "annotations[\"\"]: an empty key is not allowed");
  CHECK(error_of(with(R"("annotations":{"a":1})")) == "annotations.a: 1 is not a string");
}

TEST_CASE("oci config: hooks") {
  const Config config =
      config_from(with(R"("hooks":{"prestart":[{"path":"/a"}],"poststop":[{"path":"/b","timeout":1},{"path":"/c"}]})"));
  CHECK(config.hooks.prestart.size() == 1);
  CHECK_FALSE(config.hooks.prestart[0].timeout_s);
  CHECK(config.hooks.poststop.at(0).timeout_s == 1U);
  CHECK(config.hooks.poststop.at(1).path == "/c");
  CHECK(error_of(with(R"("hooks":{"createRuntime":[{}]})")) ==
        "hooks.createRuntime[0].path: is missing; it must be an absolute path");
  CHECK(error_of(with(R"("hooks":{"createRuntime":[{"path":"x"}]})")) ==
        "hooks.createRuntime[0].path: \"x\" is not an absolute path");
  CHECK(error_of(with(R"("hooks":{"poststart":[{"path":"/x","timeout":0}]})")) ==
        "hooks.poststart[0].timeout: 0 is not a whole number from 1 to 2147483647");
  CHECK(error_of(with(R"("hooks":{"poststart":[{"path":"/x","args":["\u0000"]}]})")) ==
        "hooks.poststart[0].args[0]: \"\\x00\" contains a NUL byte");
}

TEST_CASE("oci config: mounts") {
  const Config config = config_from(
      with(R"("mounts":[{"destination":"proc","type":"proc","source":"proc"},{"destination":"/b","type":"bind","source":"x"},)"
           R"({"destination":"/c","source":"y","options":["rbind","ro","rprivate"]}])"));
  REQUIRE(config.mounts.size() == 3);
  CHECK(config.mounts[0].destination == "/proc");
  CHECK(config.mounts[0].options.flags == 0);
  CHECK(config.mounts[1].options.flags == MS_BIND);
  CHECK(config.mounts[2].options.flags == (MS_BIND | MS_REC | MS_RDONLY));
  CHECK(config.mounts[2].options.propagation == (MS_PRIVATE | MS_REC));
  CHECK(config.mounts[2].option_words.size() == 3);
  CHECK(error_of(with(R"("mounts":[{"type":"proc"}])")) ==
        "mounts[0].destination: is missing; it must be a path in the container");
  CHECK(error_of(with(R"("mounts":[{"destination":""}])")) ==
        "mounts[0].destination: is empty; it must be a path in the container");
  CHECK(mount_error(R"(,"source":"\u0000")") == "mounts[0].source: \"\\x00\" contains a NUL byte");
  CHECK(mount_error(R"(,"options":["ro",7])") == "mounts[0].options[1]: 7 is not a string");
  CHECK(mount_error(R"(,"options":["ro","idmap=x"])").starts_with("mounts[0].options[1]: \"idmap=x\" is not an id map"));
}

TEST_CASE("oci config: id-mapped mounts") {
  constexpr std::string_view kMaps =
      R"("uidMappings":[{"containerID":0,"hostID":100,"size":10}],"gidMappings":[{"containerID":0,"hostID":200,"size":10}])";
  const Config config =
      config_from(with(std::string(R"("mounts":[{"destination":"/a","type":"bind","source":"/s",)").append(kMaps).append("}]")));
  CHECK(config.mounts.at(0).options.idmap);
  CHECK_FALSE(config.mounts.at(0).options.recursive_idmap);
  CHECK(config.mounts.at(0).gid_mappings.at(0).host_id == 200);
  CHECK(mount_error(R"(,"uidMappings":[{"containerID":0,"hostID":1,"size":1}])") ==
        "mounts[0].gidMappings: is missing; a mount has both uidMappings and gidMappings or neither");
  CHECK(mount_error(std::string(R"(,"options":["idmap=uids=0-0-1;gids=0-0-1"],)").append(kMaps)) ==
        "mounts[0].options: an id map is there as well as uidMappings");

  // The example of crun(1): 3 inside of a user namespace that maps 1 to 2 is 4.
  const auto relative = [](std::string_view map) {
    return with(std::string(R"("mounts":[{"destination":"/a","options":["bind","ridmap=)")
                    .append(map)
                    .append(R"("]}],"linux":{)"
                            R"("uidMappings":[{"containerID":0,"hostID":0,"size":1},{"containerID":1,"hostID":2,"size":1000}],)"
                            R"("gidMappings":[{"containerID":0,"hostID":7,"size":10}]})"));
  };
  const Mount mount = config_from(relative("uids=@1-3-10;gids=5-6-7")).mounts.at(0);
  CHECK(mount.options.recursive_idmap);
  CHECK(mount.uid_mappings.at(0).container_id == 1);
  CHECK(mount.uid_mappings.at(0).host_id == 4);
  CHECK(mount.uid_mappings.at(0).size == 10);
  CHECK(mount.gid_mappings.at(0).host_id == 6);
  CHECK(error_of(relative("uids=@1-1001-1;gids=5-6-7"))
            .starts_with("mounts[0].options: an id map relative to the user namespace has id 1001"));
  CHECK(error_of(relative("uids=@1-3-1000;gids=5-6-7")).find("reaches beyond one of its ranges") != std::string::npos);
}

TEST_CASE("oci config: every member that is known is read") {
  const Config config = config_from(std::string(kFull));
  CHECK(config.domainname == "d");
  CHECK(config.annotations.at("a.b/c") == "x");
  CHECK(config.hooks.create_runtime.size() == 1);
  CHECK(config.hooks.create_container.size() == 1);
  CHECK(config.hooks.start_container.size() == 1);
  CHECK(config.hooks.poststart.size() == 1);
  CHECK(config.hooks.poststop.size() == 1);
  CHECK(config.hooks.prestart.at(0).env.at(0) == "A=b");
  CHECK(config.mounts.at(0).options.data == "size=1");
  CHECK(config.process->no_new_privileges);
  CHECK(config.process->apparmor_profile == "p");
  CHECK(config.process->selinux_label == "l");
  CHECK(config.process->exec_cpu_affinity->final == "0-1");
  const Linux& out = config.linux;
  CHECK(out.cgroups_path == "/c");
  CHECK(out.mount_label == "m");
  CHECK(out.personality == 0U);
  CHECK(out.net_devices.at(0).name == "eth1");
  CHECK(out.resources->memory->kernel_tcp == 7);
  CHECK(out.resources->memory->check_before_update == true);
  CHECK(out.resources->cpu->realtime_period == 7U);
  CHECK(out.resources->pids_limit == 7);
  CHECK(out.resources->unified.at("memory.high") == "7");
  CHECK(out.seccomp->syscalls.at(0).args.at(0).value_two == 2);
}

TEST_CASE("oci config: a value of the wrong type is refused by its path, wherever it is") {
  const Json full = Json::parse(kFull);
  std::vector<std::pair<Json::json_pointer, std::string>> values;
  collect(full, Json::json_pointer(), "", values);
  REQUIRE(values.size() > 250);
  const Json replacements[] = {Json::object(), Json::array(), "zz\x1b", -7, 1.5, true};
  std::size_t refused = 0;
  for (const auto& [at, path] : values) {
    for (const Json& replacement : replacements) {
      if (is_same_type(full.at(at), replacement)) continue;
      Json mutant = full;
      mutant.at(at) = replacement;
      const std::string message = error_of(mutant.dump());
      CAPTURE(path);
      CAPTURE(message);
      CHECK(message.starts_with(path + ": "));
      CHECK(message.find('\x1b') == std::string::npos);
      ++refused;
    }
  }
  CHECK(refused > 1200);
}

TEST_CASE("oci config: a text that ends anywhere is an error and no more") {
  for (std::size_t size = 0; size < kFull.size(); size += 5)
    if (error_of(std::string(kFull.substr(0, size))).empty()) FAIL("accepted " << size << " bytes");
}

}  // namespace clawrun::oci
