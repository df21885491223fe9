// Containers' cgroups: made-up hierarchies, and real groups where this user may make them.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "cgroup/container_place.h"
#include "cgroup/details.h"
#include "cgroup/files.h"
#include "cgroup/group.h"
#include "cgroup/join.h"
#include "cgroup/location.h"
#include "cgroup/make.h"
#include "cgroup/systemd_properties.h"
#include "cgroup/writes.h"

namespace clawrun::cgroup {

namespace {

namespace fs = std::filesystem;

class Tree {
 public:
  Tree() {
    char name[] = "/tmp/clawrun-container.XXXXXX";
    root_ = ::mkdtemp(name);
  }
  Tree(const Tree&) = delete;
  Tree& operator=(const Tree&) = delete;
  ~Tree() { fs::remove_all(root_); }

  [[nodiscard]] const std::string& root() const { return root_; }
  void file(const std::string& path, const std::string& text) const {
    fs::create_directories(fs::path(root_ + path).parent_path());
    std::FILE* stream = std::fopen((root_ + path).c_str(), "we");
    REQUIRE(stream != nullptr);
    std::fputs(text.c_str(), stream);
    std::fclose(stream);
  }
  [[nodiscard]] std::string text(const std::string& path) const {
    const UniqueFd directory = open_directory(root_).value();
    return read_control(directory.get(), path.c_str()).value_or("(none)");
  }

 private:
  std::string root_;
};

View view_of(const Tree& tree, const std::string& own) {
  View view;
  view.layout = Layout::kV2;
  view.v2 = {{}, tree.root(), tree.root() + own};
  return view;
}

Limits config_limits() {
  Limits limits;
  limits.asked_by = AskedBy::kConfig;
  return limits;
}

std::string value_of(const std::vector<Write>& writes, std::string_view file) {
  const auto found = std::ranges::find(writes, file, &Write::file);
  return found == writes.end() ? "(none)" : found->value;
}

std::ptrdiff_t place_of(const std::vector<Write>& writes, std::string_view file) {
  return std::ranges::find(writes, file, &Write::file) - writes.begin();
}

// A leaf of v2 with the files that tests write to.
void add_leaf(const Tree& tree, const std::string& path) {
  tree.file(path + "/cgroup.procs", "");
  tree.file(path + "/cgroup.controllers", "cpu io memory pids hugetlb\n");
  tree.file(path + "/cgroup.subtree_control", "cpu io memory pids hugetlb\n");
}

}  // namespace

TEST_CASE("cgroupsPath is the leaf itself; absolute, relative, empty, and never out of the hierarchy") {
  const Tree tree;
  add_leaf(tree, "");
  add_leaf(tree, "/session/app");
  const View view = view_of(tree, "/session/app");
  const auto leaf = [&](const std::string& path) {
    const auto place = find_container_place(view, {.path = path, .id = "c1"});
    if (!place) return "error: " + place.error().message;
    return Group::locate(*place, "c1").v2.path.substr(tree.root().size());
  };
  CHECK(leaf("/docker/c1") == "/docker/c1");
  CHECK(leaf("/x") == "/x");
  CHECK(leaf("//a/./b/../c//") == "/a/c");
  CHECK(leaf("/../../etc") == "/etc");
  CHECK(leaf("a/b").ends_with("a/b"));
  CHECK(leaf("../../../b").ends_with("/b"));
  CHECK(leaf("").ends_with("/c1"));
  CHECK(leaf("/").starts_with("error: linux.cgroupsPath"));
  CHECK(leaf("/a/..").starts_with("error: linux.cgroupsPath"));
  CHECK(leaf("a.slice:b:c").find("systemd") != std::string::npos);
  CHECK(leaf("/" + std::string(300, 'x')).starts_with("error: linux.cgroupsPath"));
  CHECK(leaf("/a\nb").starts_with("error: linux.cgroupsPath"));
}

TEST_CASE("every hierarchy of v1 is joined, also one that only has a name; v2 beside them") {
  const Tree memory;
  const Tree freezer;
  const Tree named;
  const Tree unified;
  for (const Tree* tree : {&memory, &freezer, &named}) tree->file("/cgroup.procs", "");
  unified.file("/cgroup.procs", "");
  unified.file("/cgroup.controllers", "hugetlb\n");
  View view;
  view.layout = Layout::kHybrid;
  view.v1 = {{{"memory"}, memory.root(), memory.root()}, {{"freezer", "blkio"}, freezer.root(), freezer.root()}};
  view.named = {{{"name=systemd"}, named.root(), named.root()}};
  view.v2 = {{}, unified.root(), unified.root()};
  Limits limits = config_limits();
  limits.memory_bytes = 1 << 20U;
  limits.hugetlb = {{"2MB", 0}};
  auto place = find_container_place(view, {.path = "/p/c", .id = "c", .limits = &limits});
  REQUIRE(place);
  const Location location = Group::locate(*place, "c");
  REQUIRE(location.v1.size() == 3);
  CHECK(location.v1[1].controllers == std::vector<std::string>{"freezer", "blkio"});
  CHECK(location.v1[2].path == named.root() + "/p/c");
  CHECK(location.v2.path == unified.root() + "/p/c");
  CHECK(place->v2.controllers == std::vector<std::string>{"hugetlb"});
  limits.net_class_id = 5;
  place = find_container_place(view, {.path = "/p/c", .id = "c", .limits = &limits});
  REQUIRE_FALSE(place);
  CHECK(place.error().message.starts_with("linux.resources.network.classID: no net_cls controller"));
  limits.net_class_id.reset();
  limits.unified = {{"memory.high", "5"}};
  place = find_container_place(view, {.path = "/p/c", .id = "c", .limits = &limits});
  REQUIRE_FALSE(place);
  CHECK(place.error().message.find("unified: only with cgroup v2") != std::string::npos);
}

TEST_CASE("mountinfo alone says what is mounted: named hierarchies are kept apart") {
  const View view = parse_view(
      "32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu\n"
      "40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd\n"
      "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n",
      "9:name=systemd:/a\n1:cpu:/b\n0::/\n");
  REQUIRE(view.v1.size() == 1);
  REQUIRE(view.named.size() == 1);
  CHECK(view.named[0].own_directory == "/sys/fs/cgroup/systemd/a");
  CHECK(view.layout == Layout::kHybrid);
  CHECK(parse_view("40 31 0:37 / /s rw - cgroup cgroup rw,name=systemd\n41 31 0:38 / /u rw - cgroup2 cgroup2 rw\n", "0::/\n")
            .layout == Layout::kV2);
}

TEST_CASE("a hierarchy that another mount lies over is not there") {
  const View view = parse_view(
      "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n"
      "32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"
      "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
      "50 31 0:50 / /sys/fs/cgroup rw - tmpfs cgroup rw\n"
      "60 50 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n",
      "1:cpu:/b\n0::/\n");
  REQUIRE(view.v1.size() == 1);
  CHECK(view.layout == Layout::kV1);
  const std::string cgroup = " / /s rw - cgroup2 cgroup2 rw\n";
  const std::string tmpfs = " / /s rw - tmpfs tmpfs rw\n";
  CHECK(parse_view("30 20 0:26" + cgroup + "33 30 0:40" + tmpfs, "0::/\n").layout == Layout::kNone);
  CHECK(parse_view("30 20 0:26" + tmpfs + "33 30 0:40" + cgroup, "0::/\n").layout == Layout::kV2);
}

TEST_CASE("nothing mounted: nothing asked is no cgroup, a limit is an error with its path") {
  auto place = find_container_place(View{}, {.id = "c"});
  REQUIRE(place);
  CHECK_FALSE(place->usable());
  Limits limits = config_limits();
  limits.pids = 5;
  place = find_container_place(View{}, {.id = "c", .limits = &limits});
  REQUIRE_FALSE(place);
  CHECK(place.error().message.starts_with("linux.resources.pids.limit: no pids controller"));
}

TEST_CASE("v2: what the root lists can be had below it, and what it does not list is an error") {
  const Tree tree;
  add_leaf(tree, "/outer/own");
  tree.file("/outer/cgroup.controllers", "pids\n");
  tree.file("/cgroup.controllers", "pids memory\n");
  tree.file("/cgroup.procs", "");
  Limits limits = config_limits();
  limits.memory_bytes = 4096;
  const View view = view_of(tree, "/outer/own");
  const auto place = find_container_place(view, {.path = "/x", .id = "c", .limits = &limits});
  REQUIRE(place);
  CHECK(place->v2.controllers == std::vector<std::string>{"memory"});
  limits.memory_bytes.reset();
  limits.rdma = {{"mlx5_0", 1, 1}};
  const auto missing = find_container_place(view, {.path = "/x", .id = "c", .limits = &limits});
  REQUIRE_FALSE(missing);
  CHECK(missing.error().message.starts_with("linux.resources.rdma: no rdma controller"));
}

TEST_CASE("a group that is there is used when it is empty, and refused when it is not, or frozen") {
  const Tree tree;
  add_leaf(tree, "");
  add_leaf(tree, "/c");
  const auto make = [&] {
    const auto place = find_container_place(view_of(tree, ""), {.path = "/c", .id = "c"});
    REQUIRE(place);
    return make_leaf_v2(*place, tree.root() + "/c");
  };
  CHECK(make());
  tree.file("/c/sub/cgroup.procs", "12\n34\n");
  auto made = make();
  REQUIRE_FALSE(made);
  CHECK(made.error().message.starts_with("container's cgroup is not empty: 2 process(es) found"));
  tree.file("/c/sub/cgroup.procs", "");
  tree.file("/c/cgroup.freeze", "1\n");
  made = make();
  REQUIRE_FALSE(made);
  CHECK(made.error().message.starts_with("container's cgroup unexpectedly frozen"));
  tree.file("/c/cgroup.freeze", "0\n");
  tree.file("/cgroup.freeze", "1\n");
  CHECK_FALSE(make());
}

TEST_CASE("what configurations ask for, as files of v2") {
  Limits limits = config_limits();
  limits.memory_bytes = 100;
  limits.memory_and_swap_bytes = 150;
  limits.memory_low_bytes = 50;
  limits.cpu_quota_us = 1000;
  limits.cpu_burst_us = 500;
  limits.cpuset_mems = "0";
  limits.blkio_weight = 500;
  limits.hugetlb = {{"2MB", kUnlimited}};
  limits.rdma = {{"mlx5_0", 3, std::nullopt}};
  REQUIRE(settle_swap(limits, std::nullopt));
  auto writes = writes_v2(limits);
  CHECK(value_of(writes, "memory.swap.max") == "50");
  CHECK(value_of(writes, "memory.low") == "50");
  CHECK(value_of(writes, "cpu.max") == "1000");
  CHECK(value_of(writes, "cpu.max.burst") == "500");
  CHECK(value_of(writes, "io.bfq.weight") == "500");
  CHECK(writes[static_cast<std::size_t>(place_of(writes, "io.bfq.weight"))].other_value == "default 4950");
  CHECK(value_of(writes, "hugetlb.2MB.max") == "max");
  CHECK(value_of(writes, "rdma.max") == "mlx5_0 hca_handle=3");
  limits.cpu_named_period_us = 2000;
  limits.cpu_weight = 50;
  limits.cpu_idle = true;
  writes = writes_v2(limits);
  CHECK(value_of(writes, "cpu.max") == "1000 2000");
  CHECK(value_of(writes, "cpu.weight") == "(none)");
  CHECK(writes.end() - std::ranges::find(writes, "cpu.idle", &Write::file) > 0);
  limits.cpu_idle = false;
  writes = writes_v2(limits);
  CHECK(place_of(writes, "cpu.idle") < place_of(writes, "cpu.weight"));
  for (const Write& write : writes) CHECK(name_of(write.setting, write.asked_by).starts_with("linux.resources."));
  CHECK(io_weight_of_blkio(10) == 1);
  CHECK(io_weight_of_blkio(1000) == 10'000);
}

TEST_CASE("what v2 has nothing for is an error with its path") {
  const auto refused = [](auto change) {
    Limits limits = config_limits();
    change(limits);
    const auto checked = check_v2(limits);
    return checked ? std::string() : checked.error().message.substr(0, checked.error().message.find(": "));
  };
  CHECK(refused([](Limits& l) { l.swappiness = 5; }) == "linux.resources.memory.swappiness");
  CHECK(refused([](Limits& l) { l.oom_kill_disabled = true; }) == "linux.resources.memory.disableOOMKiller");
  CHECK(refused([](Limits& l) { l.oom_kill_disabled = false; }).empty());
  CHECK(refused([](Limits& l) { l.memory_tcp_bytes = 5; }) == "linux.resources.memory.kernelTCP");
  CHECK(refused([](Limits& l) { l.cpu_rt_runtime_us = 5; }) == "linux.resources.cpu.realtimeRuntime");
  CHECK(refused([](Limits& l) { l.net_priorities = {{"lo", 1}}; }) == "linux.resources.network.priorities");
}

TEST_CASE("v1: memory and memory with swap in the order that the old limits allow; what is not named stays") {
  Limits limits = config_limits();
  limits.memory_bytes = 200;
  CHECK(value_of(*writes_v1(limits), "memory.memsw.limit_in_bytes") == "(none)");
  CHECK(value_of(*writes_v1(limits), "memory.swappiness") == "(none)");
  limits.memory_and_swap_bytes = 300;
  const auto grown = writes_v1(limits, 100);
  REQUIRE(grown);
  CHECK(place_of(*grown, "memory.memsw.limit_in_bytes") < place_of(*grown, "memory.limit_in_bytes"));
  const auto shrunk = writes_v1(limits, 400);
  REQUIRE(shrunk);
  CHECK(place_of(*shrunk, "memory.memsw.limit_in_bytes") > place_of(*shrunk, "memory.limit_in_bytes"));
  limits.memory_and_swap_bytes.reset();
  limits.memory_bytes = kUnlimited;
  CHECK(value_of(*writes_v1(limits), "memory.memsw.limit_in_bytes") == "-1");
  limits = config_limits();
  limits.cpu_shares = 1;
  limits.cpu_weight = 1;
  REQUIRE_FALSE(writes_v1(limits));
  CHECK(writes_v1(limits).error().message.find("minimum allowed cpu-shares is 2") != std::string::npos);
}

TEST_CASE("a change to a group of v2: what is not named is asked of the kernel") {
  const Tree tree;
  add_leaf(tree, "/c");
  for (const char* name : {"memory.max", "memory.swap.max", "cpu.max", "cpu.max.burst", "pids.max", "memory.high"})
    tree.file(std::string("/c/") + name, "");
  tree.file("/c/memory.max", "1000\n");
  tree.file("/c/memory.current", "700\n");
  tree.file("/c/cpu.max", "5000 100000\n");
  Location location;
  location.v2 = {{}, tree.root() + "/c"};
  Limits limits = config_limits();
  limits.memory_and_swap_bytes = 1500;
  limits.cpu_named_period_us = 50'000;
  REQUIRE(update(location, limits));
  CHECK(tree.text("c/memory.swap.max") == "500");
  CHECK(tree.text("c/cpu.max").starts_with("5000 50000"));
  CHECK(tree.text("c/memory.max") == "1000\n");
  limits.memory_and_swap_bytes = 900;
  CHECK_FALSE(update(location, limits));
  limits = config_limits();
  limits.memory_bytes = 600;
  limits.memory_checks_usage = true;
  auto updated = update(location, limits);
  REQUIRE_FALSE(updated);
  CHECK(updated.error().message.find("rejecting memory limit 600 < usage 700") != std::string::npos);
  limits = config_limits();
  limits.unified = {{"memory.high", "123"}};
  REQUIRE(update(location, limits));
  CHECK(tree.text("c/memory.high") == "123");
  limits.unified = {{"memory.nonsense", "1"}};
  updated = update(location, limits);
  REQUIRE_FALSE(updated);
  CHECK(updated.error().message.starts_with("linux.resources.unified.memory.nonsense"));
  limits = config_limits();
  limits.swappiness = 1;
  CHECK(update(location, limits).error().message.starts_with("linux.resources.memory.swappiness"));
}

TEST_CASE("systemd: what outlives a daemon-reload are properties, the rest is written to the files") {
  Limits limits = config_limits();
  limits.memory_low_bytes = 5;
  limits.cpuset_mems = "0";
  limits.cpu_weight = 50;
  limits.cpu_idle = true;
  limits.cpu_burst_us = 7;
  limits.blkio_weight = 500;
  limits.hugetlb = {{"2MB", 1}};
  limits.unified = {{"memory.high", "9\n"}, {"pids.max", "max"}, {"cpu.weight", "max"}, {"memory.min", "x"}};
  const auto properties = systemd_properties(limits);
  REQUIRE(properties);
  const auto value = [&](std::string_view name) {
    const auto found = std::ranges::find(properties->properties, name, &UnitProperty::name);
    return found == properties->properties.end() ? std::string("(none)") : found->value.steps.back();
  };
  CHECK(value("MemoryLow") == "t 5");
  CHECK(value("IOWeight") == "t 4950");
  CHECK(value("MemoryHigh") == "t 9");
  CHECK(value("TasksMax") == "t 18446744073709551615");
  CHECK(value("AllowedMemoryNodes") != "(none)");
  for (const char* none : {"CPUWeight", "MemoryMin", "MemoryMax"}) CHECK(value(none) == "(none)");
  CHECK(properties->direct.asked_by == AskedBy::kConfig);
  CHECK(properties->direct.cpu_burst_us == 7U);
  CHECK(properties->direct.hugetlb.size() == 1);
}

TEST_CASE("joining: own group, a subgroup, and never out of it") {
  const Tree tree;
  add_leaf(tree, "/c");
  tree.file("/c/cgroup.subtree_control", "");
  add_leaf(tree, "/c/sub");
  tree.file("/v1/c/tasks", "");
  tree.file("/v1/c/sub/tasks", "");
  Location location;
  location.v2 = {{}, tree.root() + "/c"};
  location.v1 = {{{"cpu"}, tree.root() + "/v1/c"}, {{"freezer"}, tree.root() + "/gone"}};
  const auto joining = open_for_joining(location, {});
  REQUIRE(joining);
  CHECK(joining->v2.valid());
  CHECK(joining->v2_procs.valid());
  CHECK(joining->v1.size() == 1);
  CHECK(open_for_joining(location, {.subgroup = "/sub"}).error().errno_value == ENOENT);  // not in the freezer
  location.v1.pop_back();
  CHECK(open_for_joining(location, {.subgroup = "sub"}));
  CHECK(open_for_joining(location, {.subgroup = "cpu:sub"}));
  CHECK(open_for_joining(location, {.subgroup = "/"}));
  CHECK_FALSE(open_for_joining(location, {.subgroup = "memory:sub"}));
  CHECK_FALSE(open_for_joining(location, {.subgroup = "../c"}));
  CHECK_FALSE(open_for_joining(location, {.subgroup = "nothing"}));
  fs::create_directory_symlink("/", tree.root() + "/c/link");
  CHECK_FALSE(open_for_joining(location, {.subgroup = "link"}));
  // A container that has divided its group: this process, standing for its first, is not below it.
  tree.file("/c/cgroup.subtree_control", "memory\n");
  CHECK_FALSE(open_for_joining(location, {.init = ::getpid()}));
  CHECK(open_for_joining(location, {.subgroup = "/", .init = ::getpid()}));
  const auto nothing = open_for_joining({}, {});
  REQUIRE(nothing);
  CHECK_FALSE(nothing->v2.valid());
}

TEST_CASE("details in the files of both versions") {
  const Tree v2;
  v2.file("/memory.current", "100\n");
  v2.file("/memory.max", "max\n");
  v2.file("/memory.swap.current", "20\n");
  v2.file("/memory.swap.max", "30\n");
  v2.file("/memory.events", "low 0\nmax 4\noom_kill 1\n");
  v2.file("/memory.stat", "anon 5\nfile 7\njunk\nbad x\n");
  v2.file("/io.stat", "8:0 rbytes=1 wbytes=2 rios=3 wios=4\njunk\n");
  v2.file("/hugetlb.2MB.current", "4096\n");
  v2.file("/hugetlb.2MB.rsvd.current", "8192\n");
  v2.file("/cpu.pressure", "some avg10=1.50 avg60=0.00 avg300=0.00 total=11\n");
  Location location;
  location.v2.path = v2.root();
  auto details = read_details(location);
  REQUIRE(details);
  CHECK(details->is_v2);
  CHECK(details->memory_and_swap.bytes == 120);
  CHECK(details->memory_and_swap.limit_bytes == kUnlimited);
  CHECK(details->memory.failures == 4);
  CHECK(details->memory_stat == std::map<std::string, std::uint64_t>{{"anon", 5}, {"file", 7}});
  CHECK(details->io_service_bytes.size() == 2);
  CHECK(details->hugetlb.at("2MB").bytes == 8192);
  CHECK(details->cpu_pressure->some.average_10 == 1.5);
  const Tree v1;
  v1.file("/memory.usage_in_bytes", "100\n");
  v1.file("/memory.limit_in_bytes", "9223372036854771712\n");
  v1.file("/memory.memsw.usage_in_bytes", "150\n");
  v1.file("/cpuacct.usage", "3000\n");
  v1.file("/cpuacct.usage_percpu", "1000 2000 \n");
  v1.file("/cpuacct.usage_all", "cpu user system\n0 600 400\n1 1500 500\n");
  v1.file("/blkio.reset_stats", "");
  v1.file("/blkio.throttle.io_service_bytes_recursive", "8:0 Read 10\n8:0 Total 10\nTotal 10\n");
  v1.file("/cpuset.cpus", "0-1\n");
  v1.file("/cpuset.sched_relax_domain_level", "-1\n");
  v1.file("/hugetlb.1GB.limit_in_bytes", "0\n");
  v1.file("/hugetlb.1GB.failcnt", "3\n");
  location = {};
  location.v1 = {{{"memory"}, v1.root()}};
  details = read_details(location);
  REQUIRE(details);
  CHECK_FALSE(details->is_v2);
  CHECK(details->memory.limit_bytes == 9223372036854771712U);
  CHECK(details->memory_and_swap.bytes == 150);
  CHECK(details->percpu_ns == std::vector<std::uint64_t>{1000, 2000});
  CHECK(details->percpu_kernel_ns == std::vector<std::uint64_t>{400, 500});
  CHECK(details->io_service_bytes.size() == 2);
  CHECK(details->hugetlb.at("1GB").failures == 3);
  location.v1[0].path = "/nonexistent";
  CHECK_FALSE(read_details(location));
}

// ---- real groups ----------------------------------------------------------------------------------------------------------

namespace {

// A process that joins and sleeps until it is killed; -1 where it could not join.
pid_t sleeper(const std::vector<UniqueFd>& files) {
  int ready[2];
  REQUIRE(::pipe2(ready, O_CLOEXEC) == 0);
  const pid_t pid = ::fork();
  if (pid == 0) {
    char ok = 1;
    for (const UniqueFd& file : files)
      if (::write(file.get(), "0", 1) != 1) ok = 0;
    (void)!::write(ready[1], &ok, 1);
    for (;;) ::pause();
  }
  char ok = 0;
  (void)!::read(ready[0], &ok, 1);
  ::close(ready[0]);
  ::close(ready[1]);
  if (ok == 1) return pid;
  ::kill(pid, SIGKILL);
  ::waitpid(pid, nullptr, 0);
  return -1;
}

std::vector<UniqueFd> all_files(Joining joining) {
  std::vector<UniqueFd> files = std::move(joining.v1);
  if (joining.v2_procs.valid()) files.push_back(std::move(joining.v2_procs));
  return files;
}

std::string control_of(const Location& location, std::string_view controller, const char* file) {
  for (const Location::Directory& directory : location.v1)
    if (std::ranges::find(directory.controllers, controller) != directory.controllers.end())
      return read_control(open_directory(directory.path)->get(), file).value_or("(none)");
  const auto directory = open_directory(location.v2.path);
  return directory ? read_control(directory->get(), file).value_or("(none)") : "(gone)";
}

}  // namespace

TEST_CASE("a real container's groups: made, joined, limited, frozen, changed, counted, killed, removed") {
  const auto view = current_view();
  if (!view || ::geteuid() != 0 || in_user_namespace()) return;
  Limits limits = config_limits();
  limits.memory_bytes = 64U << 20U;
  limits.memory_and_swap_bytes = 128U << 20U;
  limits.pids = 20;
  limits.cpu_shares = 512;
  limits.cpu_weight = weight_of_shares(512);
  limits.cpu_quota_us = 50'000;
  limits.cpu_named_period_us = 100'000;
  const std::string parent = "/clawrun-test-" + std::to_string(::getpid());
  const auto place = find_container_place(*view, {.path = parent + "/nested/c", .id = "c", .limits = &limits});
  if (!place) {
    MESSAGE("no cgroups to make here: " << place.error().message);
    return;
  }
  auto group = Group::create(*place, "c", limits);
  if (!group && (group.error().kind == ErrorKind::kDenied || group.error().kind == ErrorKind::kUnsupported)) {
    MESSAGE("no cgroups to make here: " << group.error().message);
    return;
  }
  REQUIRE_MESSAGE(group, group.error().message);
  const Location location = group->location();
  const pid_t first = sleeper(*group->open_for_joining({}));
  REQUIRE(first > 0);
  // Another container may not have the same group.
  const auto taken = Group::create(*place, "c", limits);
  REQUIRE_FALSE(taken);
  CHECK(taken.error().message.find("container's cgroup is not empty: 1 process(es) found") != std::string::npos);
  const Location left = group->release();
  CHECK(group->empty());

  const pid_t second = sleeper(all_files(*open_for_joining(left, {.init = first})));
  REQUIRE(second > 0);
  auto pids = processes(left);
  REQUIRE(pids);
  CHECK(pids->size() == 2);
  const bool is_v1_memory = control_of(left, "memory", "memory.limit_in_bytes") != "(none)";
  CHECK(control_of(left, "memory", is_v1_memory ? "memory.limit_in_bytes" : "memory.max") == "67108864\n");
  CHECK(control_of(left, "pids", "pids.max") == "20\n");
  if (is_v1_memory) CHECK(control_of(left, "memory", "memory.memsw.limit_in_bytes") == "134217728\n");

  // Larger than the old sum, then smaller than both.
  for (const unsigned mebibytes : {256U, 32U}) {
    Limits change = config_limits();
    change.memory_bytes = std::uint64_t{mebibytes} << 20U;
    change.memory_and_swap_bytes = std::uint64_t{mebibytes} << 21U;
    change.pids = kUnlimited;
    const auto updated = update(left, change);
    CHECK_MESSAGE(updated, (updated ? "" : updated.error().message));
    CHECK(control_of(left, "memory", is_v1_memory ? "memory.limit_in_bytes" : "memory.max") ==
          std::to_string(*change.memory_bytes) + "\n");
  }
  CHECK(control_of(left, "pids", "pids.max") == "max\n");
  Limits period = config_limits();
  period.cpu_named_period_us = 200'000;
  CHECK(update(left, period));
  Limits burst = config_limits();
  burst.cpu_burst_us = 60'000;
  burst.cpu_quota_us = 70'000;  // above the old quota: the burst waits for it
  CHECK(update(left, burst));

  CHECK(freeze(left));
  CHECK(read_usage(left)->frozen == true);
  CHECK(thaw(left));
  const auto details = read_details(left);
  REQUIRE(details);
  CHECK(details->memory.bytes);
  CHECK_FALSE(details->memory_stat.empty());
  CHECK(details->usage.pids == 2);

  // Groups that the container made go with it.
  for (const Location::Directory& directory : left.v1) ::mkdir((directory.path + "/inner").c_str(), 0755);
  if (!left.v2.path.empty()) ::mkdir((left.v2.path + "/inner").c_str(), 0755);
  const pid_t third = sleeper(all_files(*open_for_joining(left, {.subgroup = left.v1.empty() ? "inner" : "memory,pids:inner"})));
  CHECK(third > 0);
  CHECK(processes(left)->size() == 3);
  CHECK(freeze(left));  // the frozen are killed too
  for (const pid_t pid : {first, second, third}) CHECK(::waitpid(pid, nullptr, WNOHANG) == 0);
  std::vector<pid_t> all{first, second, third};
  kill_soon(left);
  for (const pid_t pid : all) CHECK(::waitpid(pid, nullptr, 0) == pid);
  CHECK(kill(left));
  CHECK(freeze(left));
  const auto frozen = Group::create(*place, "c", limits);
  REQUIRE_FALSE(frozen);
  CHECK(frozen.error().message.find("unexpectedly frozen") != std::string::npos);
  CHECK(thaw(left));
  const auto removed = end(left);
  CHECK_MESSAGE(removed, (removed ? "" : removed.error().message));
  std::vector<Location::Directory> directories = left.v1;
  if (!left.v2.path.empty()) directories.push_back(left.v2);
  for (const Location::Directory& directory : directories) {
    CHECK(::access(directory.path.c_str(), F_OK) != 0);
    const fs::path nested = fs::path(directory.path).parent_path();
    CHECK(fs::exists(nested));  // parents stay
    ::rmdir(nested.c_str());
    ::rmdir(nested.parent_path().c_str());
  }
}

}  // namespace clawrun::cgroup
