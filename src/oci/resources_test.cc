#include "oci/resources.h"

#include <doctest/doctest.h>

#include "cgroup/writes.h"

namespace clawrun::oci {

namespace {

using cgroup::kUnlimited;

// The words before the first ": " of the error; "" where there is none.
std::string refused(const Resources& resources, LimitsFor what_for = LimitsFor::kCreate) {
  const auto limits = limits_of(resources, what_for);
  return limits ? std::string() : limits.error().message.substr(0, limits.error().message.find(": "));
}

std::string refused(const Memory& memory) {
  Resources resources;
  resources.memory = memory;
  return refused(resources);
}

std::string refused(const Cpu& cpu) {
  Resources resources;
  resources.cpu = cpu;
  return refused(resources);
}

cgroup::Limits of(const Resources& resources, LimitsFor what_for = LimitsFor::kCreate) {
  const auto limits = limits_of(resources, what_for);
  REQUIRE_MESSAGE(limits, limits.error().message);
  return *limits;
}

// Whether the rules grant an access to a device: the last one that names it counts.
bool grants(const std::vector<cgroup::DeviceRule>& rules, char type, std::uint32_t major, std::uint32_t minor, char access) {
  bool granted = false;
  for (const cgroup::DeviceRule& rule : rules) {
    if ((rule.type != 'a' && rule.type != type) || rule.major.value_or(major) != major || rule.minor.value_or(minor) != minor)
      continue;
    if (access == 'r' ? rule.read : access == 'w' ? rule.write : rule.mknod) granted = rule.allow;
  }
  return granted;
}

}  // namespace

TEST_CASE("nothing is asked for by nothing, nor by the zeros that Docker writes") {
  Resources resources;
  resources.memory = Memory{};
  resources.memory->limit = resources.memory->reservation = resources.memory->swap = resources.memory->kernel = 0;
  resources.memory->swappiness = UINT64_MAX;
  resources.memory->disable_oom_killer = false;
  resources.cpu = Cpu{};
  resources.cpu->shares = resources.cpu->period = resources.cpu->realtime_period = 0;
  resources.cpu->quota = resources.cpu->realtime_runtime = 0;
  resources.pids_limit = 0;
  resources.block_io = BlockIo{};
  resources.block_io->weight = resources.block_io->leaf_weight = 0;
  resources.network = Network{};
  resources.network->class_id = 0;
  for (const Resources& one : {Resources{}, resources}) {
    const cgroup::Limits limits = of(one);
    CHECK(cgroup::asked_for(limits).empty());
    CHECK(cgroup::needed_controllers(limits).empty());
  }
}

TEST_CASE("memory: swap of the specification counts both") {
  Resources resources;
  resources.memory = Memory{};
  resources.memory->limit = 64 << 20;
  resources.memory->swap = 128 << 20;
  resources.memory->reservation = 32 << 20;
  cgroup::Limits limits = of(resources);
  CHECK(limits.memory_bytes == 64U << 20U);
  CHECK(limits.memory_swap_bytes == 64U << 20U);
  CHECK(limits.memory_and_swap_bytes == 128U << 20U);
  CHECK(limits.memory_low_bytes == 32U << 20U);
  resources.memory->swap = 64 << 20;
  CHECK(of(resources).memory_swap_bytes == 0U);
  resources.memory->swap = -1;
  CHECK(of(resources).memory_swap_bytes == kUnlimited);
  resources.memory->swap.reset();
  limits = of(resources);
  CHECK_FALSE(limits.memory_swap_bytes);
  CHECK_FALSE(limits.memory_and_swap_bytes);
  resources.memory->limit = -1;
  CHECK(of(resources).memory_swap_bytes == kUnlimited);
  CHECK(refused(Memory{.limit = 100, .swap = 99}) == "linux.resources.memory.swap");
  CHECK(refused(Memory{.swap = 99}) == "linux.resources.memory.swap");
  CHECK(refused(Memory{.limit = -1, .swap = 99}) == "linux.resources.memory.swap");
  CHECK(refused(Memory{.swap = -1}).empty());
  CHECK(refused(Memory{.limit = -2}) == "linux.resources.memory.limit");
  CHECK(refused(Memory{.swappiness = 101}) == "linux.resources.memory.swappiness");
  // A running container has a limit of its own.
  Resources change;
  change.memory = Memory{.swap = 99};
  CHECK(of(change, LimitsFor::kUpdate).memory_and_swap_bytes == 99U);
  CHECK_FALSE(of(change, LimitsFor::kUpdate).devices);
}

TEST_CASE("processors") {
  Resources resources;
  resources.cpu = Cpu{.shares = 1024, .quota = 50'000, .period = 100'000, .cpus = "0-1,3", .mems = "0", .idle = 1};
  const cgroup::Limits limits = of(resources);
  CHECK(limits.cpu_shares == 1024U);
  CHECK(limits.cpu_weight == 100U);
  CHECK(limits.cpu_quota_us == 50'000U);
  CHECK(limits.cpu_named_period_us == 100'000U);
  CHECK(limits.cpu_idle == true);
  CHECK(refused(Cpu{.quota = -1}).empty());
  CHECK(refused(Cpu{.quota = 5, .burst = 6}) == "linux.resources.cpu.burst");
  CHECK(refused(Cpu{.idle = 2}) == "linux.resources.cpu.idle");
  for (const char* bad : {"a", "1-", "-1", "3-1", "0,,1", "0;1", "99999999"}) {
    CHECK(refused(Cpu{.cpus = bad}) == "linux.resources.cpu.cpus");
    CHECK(refused(Cpu{.mems = bad}) == "linux.resources.cpu.mems");
  }
}

TEST_CASE("block devices, huge pages, networks, rdma") {
  Resources resources;
  resources.block_io = BlockIo{};
  resources.block_io->weight = 10;
  resources.block_io->weight_device = {{8, 0, 500, std::nullopt}, {8, 16, 0, 0}};
  resources.block_io->throttle_read_bps = {{8, 0, 1000}};
  resources.block_io->throttle_write_iops = {{8, 0, 0}};
  resources.hugepage_limits = {{"2MB", 4096}, {"1GB", 0}};
  resources.network = Network{.class_id = 0x100001, .priorities = {{"eth0", 3}}};
  resources.rdma = {{"mlx5_0", {3, std::nullopt}}, {"unused", {}}};
  const cgroup::Limits limits = of(resources);
  CHECK(limits.blkio_weight == 10U);
  REQUIRE(limits.blkio_device_weights.size() == 1);
  REQUIRE(limits.io_max.size() == 1);
  CHECK(limits.io_max[0].device == "8:0");
  CHECK(limits.io_max[0].read_bytes_per_s == 1000U);
  CHECK(limits.io_max[0].write_operations_per_s == kUnlimited);
  CHECK(limits.hugetlb.size() == 2);
  CHECK(limits.net_class_id == 0x100001U);
  CHECK(limits.rdma.size() == 1);
  CHECK(cgroup::needed_controllers(limits) == std::vector<std::string_view>{"io", "hugetlb", "net_cls", "net_prio", "rdma"});

  resources.block_io->weight = 9;
  CHECK(refused(resources) == "linux.resources.blockIO.weight");
  resources.block_io->weight = 1001;
  CHECK(refused(resources) == "linux.resources.blockIO.weight");
  resources.block_io = BlockIo{.throttle_write_bps = {{1, 1, 1}, {-1, 0, 1}}};
  CHECK(refused(resources) == "linux.resources.blockIO.throttleWriteBpsDevice[1]");
  resources.block_io.reset();
  for (const char* bad : {"", "MB", "2mb", "2M", "0MB", "../2MB", "2MB/", "2 MB", "-2MB"}) {
    resources.hugepage_limits = {{bad, 1}};
    CHECK(refused(resources) == "linux.resources.hugepageLimits[0].pageSize");
  }
  resources.hugepage_limits.clear();
  resources.network->priorities = {{"a b", 1}};
  CHECK(refused(resources) == "linux.resources.network.priorities[0].name");
  resources.network.reset();
  resources.rdma = {{"a\nb", {1, 1}}};
  CHECK(refused(resources) == "linux.resources.rdma");
}

TEST_CASE("unified: names of files that limit, and nothing else") {
  const auto key = [](const std::string& name) {
    Resources resources;
    resources.unified = {{name, "1"}};
    return refused(resources);
  };
  CHECK(key("memory.high").empty());
  CHECK(key("hugetlb.2MB.max").empty());
  CHECK(key("cgroup.max.depth").empty());
  for (const char* bad : {"", "memory", "../memory.max", "a/b.c", "/x.y", "cgroup.procs", "cgroup.kill", "cgroup.freeze",
                          "cgroup.subtree_control", "cgroup.threads", ".x", "a b.c", "memory.max\n"})
    CHECK_MESSAGE(key(bad).starts_with("linux.resources.unified"), bad);
  Resources resources;
  resources.unified = {{"memory.high", "1"}};
  CHECK(cgroup::needed_controllers(of(resources)) == std::vector<std::string_view>{"memory"});
}

TEST_CASE("devices: the container's rules in their order, then those that every container has") {
  Resources resources;
  const auto rules = [&] { return *of(resources).devices; };
  const auto check_defaults = [&] {
    for (const std::uint32_t minor : {3U, 5U, 7U, 8U, 9U}) CHECK(grants(rules(), 'c', 1, minor, 'w'));
    for (const std::uint32_t minor : {0U, 1U, 2U}) CHECK(grants(rules(), 'c', 5, minor, 'r'));
    CHECK(grants(rules(), 'c', 136, 77, 'w'));
    CHECK(grants(rules(), 'b', 8, 0, 'm'));
  };
  check_defaults();
  CHECK_FALSE(grants(rules(), 'b', 8, 0, 'r'));
  CHECK_FALSE(grants(rules(), 'c', 10, 200, 'r'));
  // No type, no numbers, no letters: everything.
  resources.devices = {{.allow = true}};
  CHECK(grants(rules(), 'b', 8, 0, 'w'));
  resources.devices = {{.allow = true}, {.allow = false, .type = 'a', .access = "rwm"}};
  CHECK_FALSE(grants(rules(), 'b', 8, 0, 'w'));
  check_defaults();
  resources.devices = {{.allow = true, .type = 'c', .major = 10, .minor = -1, .access = "rw"}};
  CHECK(grants(rules(), 'c', 10, 5, 'w'));
  CHECK_FALSE(grants(rules(), 'b', 10, 5, 'w'));
  resources.devices = {{.allow = true, .major = 7, .minor = 1, .access = "r"}};
  CHECK(grants(rules(), 'b', 7, 1, 'r'));
  CHECK(grants(rules(), 'c', 7, 1, 'r'));
  CHECK_FALSE(grants(rules(), 'c', 7, 1, 'w'));
  // A rule of its own takes nothing from the promised ones.
  resources.devices = {{.allow = false, .type = 'c', .major = 1, .minor = 3, .access = "rwm"}};
  check_defaults();
  resources.devices = {{.allow = true}, {.allow = true, .type = 'c', .major = -2}};
  CHECK(refused(resources) == "linux.resources.devices[1].major");
  resources.devices = {{.allow = true, .type = 'c', .access = "rx"}};
  CHECK(refused(resources) == "linux.resources.devices[0].access");
  resources.devices = {{.allow = true, .type = 'p'}};
  CHECK(refused(resources) == "linux.resources.devices[0].type");
}

TEST_CASE("annotations that are systemd's properties") {
  const auto properties = systemd_properties_of(
      {{"org.systemd.property.TimeoutStopUSec", "uint64 5"}, {"org.systemd.property.", "x"}, {"org.other", "y"}});
  REQUIRE(properties.size() == 1);
  CHECK(properties[0] == std::pair<std::string, std::string>{"TimeoutStopUSec", "uint64 5"});
}

}  // namespace clawrun::oci
