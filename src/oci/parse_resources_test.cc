#include <doctest/doctest.h>

#include "oci/config.h"

namespace clawrun::oci {

namespace {

Resources resources_from(std::string_view json) {
  const auto resources = parse_resources(json);
  CAPTURE(json);
  if (!resources) FAIL(resources.error().message);
  return *resources;
}

std::string error_of(std::string_view json) {
  const auto resources = parse_resources(json);
  if (resources) return "";
  CHECK(resources.error().kind == ErrorKind::kInvalid);
  return resources.error().message;
}

}  // namespace

TEST_CASE("oci resources: nothing asked is nothing set") {
  const Resources resources = resources_from("{}");
  CHECK_FALSE(resources.memory);
  CHECK_FALSE(resources.cpu);
  CHECK_FALSE(resources.pids_limit);
  CHECK_FALSE(resources.block_io);
  CHECK(error_of("[]") == "a list is not an object");
  CHECK(error_of("null") == "null is not an object");
}

TEST_CASE("oci resources: device rules, with the forms that Docker writes") {
  const Resources resources = resources_from(R"({"devices":[
    {"allow":false,"access":"rwm"},
    {"allow":true,"type":"c","major":10,"minor":-1,"access":"rwm"},
    {"allow":true,"type":"c","major":136,"minor":null,"access":"rw"},
    {"allow":true,"type":"u","major":1,"minor":3},
    {"allow":true,"type":"","access":""}]})");
  REQUIRE(resources.devices.size() == 5);
  CHECK(resources.devices[0].type == 'a');
  CHECK_FALSE(resources.devices[0].allow);
  CHECK_FALSE(resources.devices[0].major);
  CHECK(resources.devices[1].minor == -1);
  CHECK(resources.devices[1].major == 10);
  CHECK_FALSE(resources.devices[2].minor);
  CHECK(resources.devices[3].type == 'c');
  CHECK(resources.devices[3].access.empty());
  CHECK(resources.devices[4].type == 'a');

  CHECK(error_of(R"({"devices":[{"type":"c"}]})") == "devices[0].allow: is missing; it must be true or false");
  CHECK(error_of(R"({"devices":[{"allow":true,"type":"p"}]})") == "devices[0].type: \"p\" is not one of a, c, b, u, \"\"");
  CHECK(error_of(R"({"devices":[{"allow":true,"access":"rx"}]})") ==
        "devices[0].access: \"rx\" is not made of the letters r, w and m");
  CHECK(error_of(R"({"devices":[{"allow":true,"major":-2}]})") == "devices[0].major: -2 is not a whole number from -1 to 4095");
  CHECK(error_of(R"({"devices":[{"allow":true,"minor":1048576}]})") ==
        "devices[0].minor: 1048576 is not a whole number from -1 to 1048575");
}

TEST_CASE("oci resources: what Docker's update writes, where 0 is unset") {
  const Resources resources =
      resources_from(R"({"memory":{"limit":83886080,"reservation":0,"swap":167772160,"kernel":0,"kernelTCP":0},)"
                     R"("cpu":{"shares":0,"quota":100000,"period":0,"realtimeRuntime":0,"realtimePeriod":0,"burst":0},)"
                     R"("blockIO":{"weight":0,"leafWeight":0}})");
  REQUIRE(resources.memory);
  CHECK(resources.memory->limit == 83886080);
  CHECK(resources.memory->swap == 167772160);
  CHECK_FALSE(resources.memory->reservation);
  CHECK_FALSE(resources.memory->kernel);
  CHECK_FALSE(resources.memory->kernel_tcp);
  REQUIRE(resources.cpu);
  CHECK_FALSE(resources.cpu->shares);
  CHECK(resources.cpu->quota == 100000);
  CHECK_FALSE(resources.cpu->period);
  CHECK_FALSE(resources.cpu->realtime_runtime);
  CHECK(resources.cpu->burst == 0U);  // a burst of 0 is one that takes away
  REQUIRE(resources.block_io);
  CHECK_FALSE(resources.block_io->weight);
  CHECK_FALSE(resources_from(R"({"memory":{"limit":0,"swap":0}})").memory->limit);
  CHECK_FALSE(resources_from(R"({"memory":{"swappiness":18446744073709551615}})").memory->swappiness);
}

TEST_CASE("oci resources: memory, processors and processes") {
  CHECK(resources_from(R"({"memory":{"limit":-1,"swap":-1,"swappiness":0}})").memory->limit == -1);
  CHECK(resources_from(R"({"memory":{"swappiness":0}})").memory->swappiness == 0U);
  CHECK(resources_from(R"({"memory":{"disableOOMKiller":false}})").memory->disable_oom_killer == false);
  CHECK(resources_from(R"({"cpu":{"quota":-5}})").cpu->quota == -1);
  CHECK(resources_from(R"({"cpu":{"idle":1,"cpus":"0-1","mems":"0"}})").cpu->cpus == "0-1");
  CHECK(resources_from(R"({"pids":{"limit":-1}})").pids_limit == -1);
  CHECK_FALSE(resources_from(R"({"pids":{}})").pids_limit);
  CHECK(error_of(R"({"memory":{"limit":-2}})") == "memory.limit: -2 is not a whole number from -1 to 9223372036854775807");
  CHECK(error_of(R"({"memory":{"swappiness":101}})") == "memory.swappiness: 101 is not a whole number from 0 to 100");
  CHECK(error_of(R"({"memory":{"swappiness":-1}})") == "memory.swappiness: -1 is not a whole number from 0 to 100");
  CHECK(error_of(R"({"cpu":{"idle":2}})") == "cpu.idle: 2 is not a whole number from 0 to 1");
  CHECK(error_of(R"({"cpu":{"shares":"1"}})") == "cpu.shares: \"1\" is not a whole number from 0 to 18446744073709551615");
  CHECK(error_of(R"({"pids":5})") == "pids: 5 is not an object");
}

TEST_CASE("oci resources: block devices, huge pages, network, RDMA") {
  const Resources resources = resources_from(R"({
    "blockIO":{"weight":10,"weightDevice":[{"major":8,"minor":0,"weight":1000,"leafWeight":0}],
      "throttleReadBpsDevice":[{"major":8,"minor":16,"rate":600}],"throttleWriteBpsDevice":[{"major":8,"minor":1,"rate":1}],
      "throttleReadIOPSDevice":[{"major":8,"minor":2,"rate":2}],"throttleWriteIOPSDevice":[{"major":8,"minor":3,"rate":3}]},
    "hugepageLimits":[{"pageSize":"2MB","limit":0}],
    "network":{"classID":1048577,"priorities":[{"name":"eth0","priority":500}]},
    "rdma":{"mlx5_1":{"hcaHandles":3,"hcaObjects":10000}}})");
  REQUIRE(resources.block_io);
  CHECK(resources.block_io->weight == 10);
  REQUIRE(resources.block_io->weight_device.size() == 1);
  CHECK(resources.block_io->weight_device[0].weight == 1000);
  CHECK_FALSE(resources.block_io->weight_device[0].leaf_weight);
  CHECK(resources.block_io->throttle_read_bps.at(0).rate == 600);
  CHECK(resources.block_io->throttle_write_bps.at(0).minor == 1);
  CHECK(resources.block_io->throttle_read_iops.at(0).minor == 2);
  CHECK(resources.block_io->throttle_write_iops.at(0).minor == 3);
  CHECK(resources.hugepage_limits.at(0).page_size == "2MB");
  CHECK(resources.network->class_id == 1048577U);
  CHECK(resources.network->priorities.at(0).name == "eth0");
  CHECK(resources.rdma.at("mlx5_1").hca_objects == 10000U);

  CHECK(error_of(R"({"blockIO":{"weight":9}})") == "blockIO.weight: 9 is not a whole number from 10 to 1000");
  CHECK(error_of(R"({"blockIO":{"weight":1001}})") == "blockIO.weight: 1001 is not a whole number from 10 to 1000");
  CHECK(error_of(R"({"blockIO":{"throttleReadBpsDevice":[{"major":8,"rate":1}]}})") ==
        "blockIO.throttleReadBpsDevice[0].minor: is missing; it must be a device number");
  for (const char* size : {"2M", "MB", "02MB", "2TB", "2mb", "../2MB", "2 MB", ""}) {
    CAPTURE(size);
    CHECK(error_of(R"({"hugepageLimits":[{"pageSize":")" + std::string(size) + R"(","limit":1}]})")
              .starts_with("hugepageLimits[0].pageSize: \"" + std::string(size) + "\" is not a page size"));
  }
  CHECK(error_of(R"({"hugepageLimits":[{"pageSize":"2MB"}]})") ==
        "hugepageLimits[0].limit: is missing; it must be a number of bytes");
  CHECK(error_of(R"({"network":{"priorities":[{"name":"a b","priority":1}]}})") ==
        "network.priorities[0].name: \"a b\" is not the name of a network interface");
  CHECK(error_of(R"({"rdma":{"a/b":{"hcaHandles":1}}})") == "rdma[\"a/b\"]: the key is not the name of a device");
  CHECK(error_of(R"({"rdma":{"a":{}}})") == "rdma.a: neither hcaHandles nor hcaObjects is there");
}

TEST_CASE("oci resources: unified names files of the container's own cgroup") {
  CHECK(resources_from(R"({"unified":{"memory.high":"1024","io.max":"8:0 rbps=1\n8:16 rbps=2"}})").unified.size() == 2);
  for (const char* key : {"../memory.max", "a/b.c", ".", "..", "memory", ".max", "memory.", "a b.c", "a.b\\n"}) {
    CAPTURE(key);
    CHECK(error_of(R"({"unified":{")" + std::string(key) + R"(":"1"}})").find("the key is not the name of a cgroup file") !=
          std::string::npos);
  }
  CHECK(error_of(R"({"unified":{"memory.max":1}})") == "unified[\"memory.max\"]: 1 is not a string");
}

}  // namespace clawrun::oci
