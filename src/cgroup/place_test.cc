#include "cgroup/place.h"

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "cgroup/group.h"
#include "cgroup/location.h"
#include "cgroup/usage.h"

namespace clawrun::cgroup {

namespace {

// A directory with the names of a cgroup hierarchy: what place.cc reads is the same on any file system.
class Hierarchy {
 public:
  Hierarchy() {
    char name[] = "/tmp/clawrun-place.XXXXXX";
    root_ = ::mkdtemp(name);
  }
  Hierarchy(const Hierarchy&) = delete;
  Hierarchy& operator=(const Hierarchy&) = delete;
  ~Hierarchy() { std::filesystem::remove_all(root_); }

  [[nodiscard]] const std::string& root() const { return root_; }
  void file(const std::string& path, const std::string& text) const {
    std::FILE* stream = std::fopen((root_ + path).c_str(), "we");
    REQUIRE(stream != nullptr);
    std::fputs(text.c_str(), stream);
    std::fclose(stream);
  }
  void group(const std::string& path, bool is_root = false) const {
    std::filesystem::create_directories(root_ + path);
    file(path + "/cgroup.procs", "");
    file(path + "/cgroup.controllers", "cpuset cpu io memory pids\n");
    file(path + "/cgroup.subtree_control", "memory pids\n");
    if (!is_root) file(path + "/cgroup.events", "populated 0\nfrozen 0\n");
  }

 private:
  std::string root_;
};

View pure_v2(const Hierarchy& hierarchy, const std::string& own) {
  View view;
  view.layout = Layout::kV2;
  view.v2 = {{}, hierarchy.root(), hierarchy.root() + own};
  return view;
}

}  // namespace

TEST_CASE("the root of the hierarchy is taken where it is the caller's") {
  const Hierarchy hierarchy;
  hierarchy.group("", true);
  hierarchy.group("/session");
  const auto place = find_place(pure_v2(hierarchy, "/session"), {.controllers = {"memory", "pids"}});
  REQUIRE(place);
  CHECK(place->missing.empty());
  CHECK(place->v2.directory.starts_with(hierarchy.root()));
  CHECK_FALSE(place->v2.directory.ends_with("/session"));
  CHECK_FALSE(place->v2_move_callers);
}

TEST_CASE("a namespace's root is a group like others: its processes must make room") {
  const Hierarchy hierarchy;
  hierarchy.group("");
  const auto place = find_place(pure_v2(hierarchy, ""), {.driver = DriverChoice::kCgroupfs, .controllers = {"memory"}});
  REQUIRE(place);
  CHECK(place->v2.directory == hierarchy.root());
  CHECK(place->v2_move_callers);
}

TEST_CASE("a controller that the group does not have is missing, with its name and place") {
  const Hierarchy hierarchy;
  hierarchy.group("", true);
  hierarchy.file("/cgroup.controllers", "memory\n");
  const auto place = find_place(pure_v2(hierarchy, ""), {.controllers = {"memory", "pids"}});
  REQUIRE(place);
  REQUIRE(place->missing.size() == 1);
  CHECK(place->missing[0].first == "pids");
  CHECK(place->missing[0].second.find(hierarchy.root()) != std::string::npos);
  CHECK(place->v2.controllers == std::vector<std::string>{"memory"});
}

TEST_CASE("a hybrid host: each controller where it is, the others of v1 kept for later") {
  const Hierarchy memory;
  const Hierarchy freezer;
  const Hierarchy unified;
  memory.group("/own");
  freezer.group("/own");
  unified.group("", true);
  unified.file("/cgroup.controllers", "pids hugetlb\n");
  View view;
  view.layout = Layout::kHybrid;
  view.v1 = {{{"memory"}, memory.root(), memory.root() + "/own"}, {{"freezer"}, freezer.root(), freezer.root() + "/own"}};
  view.v2 = {{}, unified.root(), unified.root()};
  const auto place = find_place(view, {.controllers = {"memory", "pids"}});
  REQUIRE(place);
  CHECK(place->missing.empty());
  REQUIRE(place->v1.size() == 1);
  CHECK(place->v1[0].directory == memory.root() + "/own");
  CHECK(place->v2.controllers == std::vector<std::string>{"pids"});
  REQUIRE(place->v1_spare.size() == 1);
  CHECK(place->v1_spare[0].directory == freezer.root() + "/own");
  const Location location = Group::locate(*place, "x");
  CHECK(location.v1.size() == 2);
  CHECK(location.v2.path.ends_with("/clawrun-x"));
}

TEST_CASE("nowhere to go: every controller is missing, and nothing is usable") {
  View view;
  view.layout = Layout::kV2;
  view.v2 = {{}, "/nonexistent/cgroup", "/nonexistent/cgroup"};
  const auto place = find_place(view, {.driver = DriverChoice::kCgroupfs, .controllers = {"memory", "pids"}});
  REQUIRE(place);
  CHECK(place->missing.size() == 2);
  CHECK_FALSE(place->usable());
  const auto none = find_place(View{}, {.controllers = {"memory"}});
  REQUIRE(none);
  CHECK(none->missing.size() == 1);
}

TEST_CASE("paths of the caller's own") {
  const Hierarchy hierarchy;
  hierarchy.group("", true);
  const View view = pure_v2(hierarchy, "");
  for (const char* bad : {"/a/../b", "..", "/./x"}) CHECK_FALSE(find_place(view, {.path = bad, .controllers = {"memory"}}));
  CHECK_FALSE(find_place(view, {.path = "system.slice:a:b", .controllers = {"memory"}}));
  const auto place = find_place(view, {.path = "/a/b", .controllers = {"memory"}});
  REQUIRE(place);
  CHECK(place->v2.directory == hierarchy.root() + "/a/b");
}

TEST_CASE("a group that is gone has no usage and nothing to remove or kill") {
  Location location;
  location.v2.path = "/nonexistent/leaf";
  CHECK(read_usage(location).error().kind == ErrorKind::kNotFound);
  CHECK(oom_kills(location) == 0);
  CHECK(remove(location));
  CHECK(kill(location));
}

TEST_CASE("usage is what the files say, and what they do not say is unset") {
  const Hierarchy leaf;
  leaf.file("/memory.current", "4096\n");
  leaf.file("/memory.max", "max\n");
  leaf.file("/memory.events", "low 0\nhigh 0\nmax 3\noom 1\noom_kill 2\noom_group_kill 0\n");
  leaf.file("/cpu.stat", "usage_usec 30\nuser_usec 10\nsystem_usec 20\nnr_periods 5\nnr_throttled 2\nthrottled_usec 7\n");
  leaf.file("/pids.peak", "junk\n");
  leaf.file("/io.stat", "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0\n8:16 \n\n254:0 rbytes=x\n");
  leaf.file("/memory.pressure",
            "some avg10=0.00 avg60=0.00 avg300=0.00 total=11\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=5\n");
  leaf.file("/cgroup.events", "populated 1\nfrozen 1\n");
  Location location;
  location.v2.path = leaf.root();
  const auto usage = read_usage(location);
  REQUIRE(usage);
  CHECK(usage->memory_bytes == 4096);
  CHECK(usage->memory_limit_bytes == kUnlimited);
  CHECK(usage->oom_kills == 2);
  CHECK(oom_kills(location) == 2);
  CHECK(usage->cpu_user_us == 10);
  CHECK(usage->cpu_throttled_us == 7);
  CHECK_FALSE(usage->pids_peak);
  CHECK_FALSE(usage->memory_peak_bytes);
  CHECK(usage->has_io);
  REQUIRE_FALSE(usage->io.empty());
  CHECK(usage->io[0].written_bytes == 2);
  REQUIRE(usage->memory_pressure);
  CHECK(usage->memory_pressure->full_us == 5);
  CHECK_FALSE(usage->cpu_pressure);
  CHECK(usage->frozen == true);
}

}  // namespace clawrun::cgroup
