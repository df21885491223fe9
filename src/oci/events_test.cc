#include "oci/events.h"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "cgroup/limits.h"

namespace clawrun::oci {

namespace {

using Json = nlohmann::json;

}  // namespace

TEST_CASE("statistics of nothing have the whole shape") {
  const Json json = Json::parse(stats_json("c1", {}, {}));
  CHECK(json["type"] == "stats");
  CHECK(json["id"] == "c1");
  const Json& data = json["data"];
  for (const char* key : {"cpu", "cpuset", "memory", "pids", "blkio", "hugetlb", "intel_rdt"}) CHECK(data[key].is_object());
  CHECK(data.contains("network_interfaces"));
  CHECK(data["cpu"]["usage"]["kernel"] == 0);
  CHECK(data["cpu"]["throttling"].is_object());
  for (const char* key : {"usage", "swap", "kernel", "kernelTCP"}) CHECK(data["memory"][key]["failcnt"] == 0);
}

TEST_CASE("statistics in the units and under the names that engines read") {
  cgroup::Details details;
  details.usage.cpu_us = 5;
  details.usage.cpu_user_us = 2;
  details.usage.cpu_system_us = 3;
  details.usage.cpu_throttled_us = 7;
  details.usage.cpu_throttled_periods = 1;
  details.usage.pids = 4;
  details.usage.pids_limit = 50;
  details.percpu_ns = {1, 2};
  details.memory = {cgroup::kUnlimited, 100, 200, 3};
  details.memory_stat = {{"cache", 9}, {"rss", 8}};
  details.cpuset_cpus = "0-2,7";
  details.cpuset_flags = {{"sched_relax_domain_level", UINT64_MAX}, {"sched_load_balance", 1}};
  details.io_service_bytes = {{8, 0, "Read", 4096}};
  details.hugetlb = {{"2MB", {1, 2, 3}}};
  details.memory_pressure.emplace();
  Json data = Json::parse(stats_json("c", details, {}))["data"];
  CHECK(data["cpu"]["usage"]["total"] == 5000);
  CHECK(data["cpu"]["usage"]["user"] == 2000);
  CHECK(data["cpu"]["usage"]["kernel"] == 3000);
  CHECK(data["cpu"]["usage"]["percpu"] == Json::array({1, 2}));
  CHECK(data["cpu"]["throttling"] == Json{{"throttledPeriods", 1}, {"throttledTime", 7000}});
  CHECK(data["pids"] == Json{{"current", 4}, {"limit", 50}});
  CHECK(data["memory"]["usage"] == Json{{"limit", UINT64_MAX}, {"usage", 100}, {"max", 200}, {"failcnt", 3}});
  CHECK(data["memory"]["cache"] == 9);
  CHECK(data["memory"]["raw"]["rss"] == 8);
  CHECK(data["memory"]["psi"]["some"]["total"] == 0);
  CHECK(data["cpuset"]["cpus"] == Json::array({0, 1, 2, 7}));
  CHECK(data["cpuset"]["sched_relax_domain_level"] == -1);
  CHECK(data["blkio"]["ioServiceBytesRecursive"] == Json::array({{{"major", 8}, {"op", "Read"}, {"value", 4096}}}));
  CHECK(data["hugetlb"]["2MB"] == Json{{"usage", 1}, {"max", 2}, {"failcnt", 3}});
  details.usage.pids_limit = cgroup::kUnlimited;
  details.cpuset_cpus = "junk,5-1";
  data = Json::parse(stats_json("c\xff\n", details, {}))["data"];
  CHECK_FALSE(data["pids"].contains("limit"));
  CHECK(data["cpuset"]["cpus"].empty());
}

TEST_CASE("an event of memory that ran out, on one line") {
  CHECK(oom_json("a") == R"({"type":"oom","id":"a"})");
  const resctrl::Stats rdt{.cache = resctrl::CacheInfo{"fffff", 1, 16},
                           .cache_line = "L3:0=f",
                           .bandwidth = resctrl::BandwidthInfo{10, 1, 10, 8},
                           .bandwidth_line = "MB:0=20",
                           .counts_bandwidth = true,
                           .counts_occupancy = true,
                           .uses = {{5, 3, 7}, {}}};
  CHECK(Json::parse(stats_json("c", {}, rdt))["data"]["intel_rdt"] == Json::parse(R"({
    "l3_cache_info": {"cbm_mask": "fffff", "min_cbm_bits": 1, "num_closids": 16}, "l3_cache_schema": "L3:0=f",
    "mem_bw_info": {"bandwidth_gran": 10, "delay_linear": 1, "min_bandwidth": 10, "num_closids": 8}, "mem_bw_schema": "MB:0=20",
    "mbm_stats": [{"mbm_total_bytes": 5, "mbm_local_bytes": 3}, {}], "cmt_stats": [{"llc_occupancy": 7}, {}]})"));
  CHECK(stats_json("a", {}, {}).find('\n') == std::string::npos);
}

}  // namespace clawrun::oci
