#include "cgroup/writes.h"

#include <doctest/doctest.h>

#include <algorithm>

namespace clawrun::cgroup {

namespace {

std::string value_of(const std::vector<Write>& writes, std::string_view file) {
  const auto found = std::ranges::find(writes, file, &Write::file);
  return found == writes.end() ? "(none)" : found->value;
}

Limits some_limits() {
  Limits limits;
  limits.memory_bytes = 64 << 20U;
  limits.memory_swap_bytes = 0;
  limits.cpu_quota_us = 50'000;
  limits.cpu_weight = 100;
  limits.cpuset_cpus = "0-1";
  limits.pids = 20;
  limits.io_max = {{"8:0", 1000, std::nullopt, kUnlimited, 5}};
  limits.io_weight = 50;
  return limits;
}

}  // namespace

TEST_CASE("each limit as a file of v2") {
  Limits limits = some_limits();
  limits.memory_high_bytes = 32 << 20U;
  limits.oom_group = true;
  const auto writes = writes_v2(limits);
  CHECK(value_of(writes, "memory.max") == "67108864");
  CHECK(value_of(writes, "memory.swap.max") == "0");
  CHECK(value_of(writes, "memory.high") == "33554432");
  CHECK(value_of(writes, "memory.oom.group") == "1");
  CHECK(value_of(writes, "cpu.max") == "50000 100000");
  CHECK(value_of(writes, "cpu.weight") == "100");
  CHECK(value_of(writes, "cpuset.cpus") == "0-1");
  CHECK(value_of(writes, "pids.max") == "20");
  CHECK(value_of(writes, "io.max") == "8:0 rbps=1000 riops=max wiops=5");
  CHECK(value_of(writes, "io.weight") == "default 50");
  CHECK(writes_v2({}).empty());
  Limits lifted;
  lifted.memory_bytes = lifted.pids = lifted.cpu_quota_us = kUnlimited;
  CHECK(value_of(writes_v2(lifted), "memory.max") == "max");
  CHECK(value_of(writes_v2(lifted), "pids.max") == "max");
  CHECK(value_of(writes_v2(lifted), "cpu.max") == "max 100000");
}

TEST_CASE("each limit as a file of v1, where swap is counted with memory") {
  const auto writes = writes_v1(some_limits());
  REQUIRE(writes);
  CHECK(value_of(*writes, "memory.limit_in_bytes") == "67108864");
  CHECK(value_of(*writes, "memory.memsw.limit_in_bytes") == "67108864");
  CHECK(value_of(*writes, "memory.swappiness") == "0");
  CHECK(value_of(*writes, "cpu.cfs_quota_us") == "50000");
  CHECK(value_of(*writes, "cpu.shares") == std::to_string(shares_of_weight(100)));
  CHECK(value_of(*writes, "cpuset.cpus") == "0-1");
  CHECK(value_of(*writes, "pids.max") == "20");
  CHECK(value_of(*writes, "blkio.throttle.read_bps_device") == "8:0 1000");
  CHECK(value_of(*writes, "blkio.throttle.read_iops_device") == "8:0 0");
  CHECK(value_of(*writes, "blkio.throttle.write_iops_device") == "8:0 5");
  CHECK(value_of(*writes, "blkio.throttle.write_bps_device") == "(none)");
  Limits swapping;
  swapping.memory_bytes = 100;
  swapping.memory_swap_bytes = 50;
  CHECK(value_of(*writes_v1(swapping), "memory.memsw.limit_in_bytes") == "150");
  CHECK(value_of(*writes_v1(swapping), "memory.swappiness") == "(none)");
  // The sum does not wrap.
  swapping.memory_swap_bytes = kUnlimited - 10;
  CHECK(value_of(*writes_v1(swapping), "memory.memsw.limit_in_bytes") == "-1");
}

TEST_CASE("v1: memory is never above memory and swap together, in either direction") {
  Limits limits;
  limits.memory_bytes = 200;
  const auto place = [](const std::vector<Write>& writes, std::string_view file) {
    return std::ranges::find(writes, file, &Write::file) - writes.begin();
  };
  const auto grown = writes_v1(limits, 100);
  REQUIRE(grown);
  CHECK(place(*grown, "memory.memsw.limit_in_bytes") < place(*grown, "memory.limit_in_bytes"));
  const auto shrunk = writes_v1(limits, 400);
  REQUIRE(shrunk);
  CHECK(place(*shrunk, "memory.memsw.limit_in_bytes") > place(*shrunk, "memory.limit_in_bytes"));
}

TEST_CASE("what v1 cannot do is said") {
  Limits limits;
  limits.memory_high_bytes = 1;
  REQUIRE_FALSE(writes_v1(limits));
  CHECK(writes_v1(limits).error().message.find("--memory-high") != std::string::npos);
  limits = {};
  limits.oom_group = true;
  CHECK_FALSE(writes_v1(limits));
  limits.oom_group = false;
  CHECK(writes_v1(limits));
  limits = {};
  limits.memory_swap_bytes = 5;
  CHECK_FALSE(writes_v1(limits));
}

TEST_CASE("controllers that limits need, and limits that controllers hold") {
  CHECK(needed_controllers({}).empty());
  CHECK(needed_controllers(some_limits()) == std::vector<std::string_view>{"memory", "cpu", "cpuset", "pids", "io"});
  Limits lifted;
  lifted.memory_bytes = lifted.pids = kUnlimited;
  CHECK(needed_controllers(lifted).empty());
  const Limits kept = only(some_limits(), {"pids", "io"});
  CHECK(needed_controllers(kept) == std::vector<std::string_view>{"pids", "io"});
  CHECK(writes_v2(only(some_limits(), {})).empty());
}

TEST_CASE("shares and weights: both ends and both defaults meet, and nothing falls") {
  CHECK(weight_of_shares(0) == 1);
  CHECK(weight_of_shares(2) == 1);
  CHECK(weight_of_shares(1024) == 100);
  CHECK(weight_of_shares(262'144) == 10'000);
  CHECK(weight_of_shares(UINT64_MAX) == 10'000);
  std::uint32_t before = 0;
  for (std::uint64_t shares = 2; shares <= 262'144; shares += 97) {
    const std::uint32_t weight = weight_of_shares(shares);
    REQUIRE(weight >= before);
    before = weight;
  }
  CHECK(shares_of_weight(1) == 10);
  CHECK(shares_of_weight(100) == 1024);
  CHECK(shares_of_weight(900) == 9216);
  CHECK(shares_of_weight(10'000) == 102'400);
  Limits limits;
  limits.cpu_shares = 512;
  limits.cpu_weight = weight_of_shares(512);
  CHECK(value_of(*writes_v1(limits), "cpu.shares") == "512");
  CHECK(value_of(writes_v2(limits), "cpu.weight") == "59");
}

}  // namespace clawrun::cgroup
