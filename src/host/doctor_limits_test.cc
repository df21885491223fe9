#include "host/doctor_limits.h"

#include <doctest/doctest.h>

#include "host/doctor_checks.h"

namespace clawrun::host {

namespace {

using cgroup::Driver;
using cgroup::Layout;

LimitFacts facts_of(Layout layout) {
  LimitFacts facts;
  facts.view.layout = layout;
  if (layout == Layout::kV2 || layout == Layout::kHybrid) facts.view.v2.mount_point = "/sys/fs/cgroup";
  return facts;
}

LimitFacts user_of(Layout layout) {
  LimitFacts facts = facts_of(layout);
  facts.uid = 1000;
  return facts;
}

LimitFacts root_of(Layout layout) {
  LimitFacts facts = facts_of(layout);
  facts.privileged = true;
  return facts;
}

void miss_all(LimitFacts& facts, const char* reason) {
  for (const std::string_view controller : limit_controllers()) facts.place.missing.emplace_back(controller, reason);
}

bool has(const std::string& text, const char* part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("root limits everything, on v2 and on v1") {
  LimitFacts v2 = root_of(Layout::kV2);
  v2.place.v2 = {{"memory", "pids", "cpu", "cpuset", "io"}, "/sys/fs/cgroup", "/sys/fs/cgroup/clawrun"};
  const Check check = limits_check(v2);
  CHECK(check.status == Check::Status::kOk);
  CHECK(check.found == "memory, pids, cpu, cpuset, io by cgroupfs below /sys/fs/cgroup/clawrun");
  CHECK(check.lost.empty());
  CHECK(check.remedy.empty());

  LimitFacts v1 = root_of(Layout::kHybrid);
  for (const char* name : {"memory", "pids", "cpu", "cpuset", "io"})
    v1.place.v1.push_back({{name}, "/sys/fs/cgroup/x", "/sys/fs/cgroup/x"});
  CHECK(limits_check(v1).found == "memory, pids, cpu, cpuset, io by cgroupfs in the v1 hierarchies");
  CHECK(limits_check(v1).status == Check::Status::kOk);
}

TEST_CASE("what systemd delegates to a user counts, not what it takes without a word") {
  LimitFacts facts = user_of(Layout::kV2);
  facts.has_systemd = true;
  facts.has_user_manager = true;
  facts.place.driver = Driver::kSystemd;
  facts.place.user_manager = true;
  facts.place.v2.controllers = {"memory", "pids", "cpu", "cpuset", "io"};
  facts.manager_controllers = "memory pids";
  const Check some = limits_check(facts);
  CHECK(some.found == "memory, pids by systemd --user; not cpu, cpuset, io: not delegated to this user's systemd");
  CHECK(some.status == Check::Status::kDegraded);
  CHECK(some.need == Check::Need::kOptional);  // what exec limits by itself is there
  CHECK(has(some.remedy, "Delegate=cpu cpuset io memory pids"));
  CHECK(has(some.remedy, "/etc/systemd/system/user@.service.d/delegate.conf"));

  facts.manager_controllers = "";
  const Check none = limits_check(facts);
  CHECK(none.found == "none: not delegated to this user's systemd");
  CHECK(none.status == Check::Status::kMissing);
  CHECK(none.need == Check::Need::kProtection);

  facts.manager_controllers = "cpuset cpu io memory pids";
  CHECK(limits_check(facts).status == Check::Status::kOk);
  facts.manager_controllers = std::nullopt;
  CHECK(limits_check(facts).status == Check::Status::kOk);
}

TEST_CASE("a user without any place is told how to get one") {
  LimitFacts facts = user_of(Layout::kV2);
  miss_all(facts, "the cgroup /sys/fs/cgroup/x is not this user's to change; clawrun doctor says how");
  const Check bare = limits_check(facts);
  CHECK(bare.found == "none: the cgroup /sys/fs/cgroup/x is not this user's to change");
  CHECK(has(bare.remedy, "sudo chown 1000 /sys/fs/cgroup/user-1000 "));
  facts.has_systemd = true;
  CHECK(has(limits_check(facts).remedy, "loginctl enable-linger"));
  facts.has_user_manager = true;
  CHECK(has(limits_check(facts).remedy, "Delegate="));
  facts.view.layout = Layout::kHybrid;
  CHECK(has(limits_check(facts).remedy, "systemd.unified_cgroup_hierarchy=1"));
  facts.has_systemd = false;
  CHECK(limits_check(facts).remedy == "run clawrun as root");
  facts.uid = 0;
  CHECK(has(limits_check(facts).remedy, "outside of the user namespace"));
}

TEST_CASE("a container is told how it has to be started") {
  LimitFacts facts = facts_of(Layout::kV2);
  facts.kind = Surrounding::kDocker;
  facts.read_only = {"/sys/fs/cgroup"};
  miss_all(facts, "the cgroup /sys/fs/cgroup is mounted read-only");
  CHECK(limits_check(facts).remedy == "docker run --cgroupns=private --security-opt writable-cgroups=true ...");
  facts.kind = Surrounding::kPodman;
  CHECK(has(limits_check(facts).remedy, "podman run --cgroupns=private"));
  CHECK(limits_check(facts).need == Check::Need::kProtection);

  facts.uid = 1000;
  CHECK(has(limits_check(facts).remedy, "podman run --cgroupns=private"));
  facts.read_only.clear();
  CHECK(has(limits_check(facts).remedy, "sudo chown 1000 "));

  facts.uid = 0;
  facts.place.missing.erase(facts.place.missing.begin(), facts.place.missing.begin() + 3);
  facts.place.v2 = {{"memory", "pids", "cpu"}, "/sys/fs/cgroup", "/sys/fs/cgroup"};
  CHECK(has(limits_check(facts).remedy, "echo '+cpuset +io' >cgroup.subtree_control"));
  CHECK(limits_check(facts).need == Check::Need::kOptional);
}

TEST_CASE("root is told what to mount, to remount or to boot") {
  LimitFacts none = root_of(Layout::kNone);
  miss_all(none, "no cgroup hierarchy with it is mounted");
  CHECK(limits_check(none).remedy == "mount -t cgroup2 none /sys/fs/cgroup");

  LimitFacts hybrid = root_of(Layout::kHybrid);
  hybrid.kernel_controllers = "#subsys_name\thierarchy\tnum_cgroups\tenabled\ncpu\t1\t1\t1\nblkio\t0\t1\t1\ncpuset\t0\t1\t0";
  for (const char* name : {"memory", "pids", "cpu"}) hybrid.place.v1.push_back({{name}, "/sys/fs/cgroup/x", "/sys/fs/cgroup/x"});
  hybrid.place.missing = {{"cpuset", "no"}, {"io", "no"}};
  CHECK(limits_check(hybrid).remedy == "mkdir -p /sys/fs/cgroup/blkio && mount -t cgroup -o blkio none /sys/fs/cgroup/blkio");
  hybrid.read_only = {"/sys/fs/cgroup/cpuset", "/sys/fs/cgroup/blkio"};
  CHECK(limits_check(hybrid).remedy == "mount -o remount,rw /sys/fs/cgroup/cpuset && mount -o remount,rw /sys/fs/cgroup/blkio");

  LimitFacts v2 = root_of(Layout::kV2);
  v2.place.v2 = {{"pids", "cpu", "cpuset", "io"}, "/sys/fs/cgroup", "/sys/fs/cgroup"};
  v2.place.missing = {{"memory", "cgroup.controllers of /sys/fs/cgroup does not list it: this kernel has it not"}};
  CHECK(limits_check(v2).remedy == "run a kernel that has memory, and boot it without cgroup_disable=");
  CHECK(limits_check(v2).lost == "the limits of --memory and its default");
  CHECK(limits_check(v2).need == Check::Need::kProtection);
}

}  // namespace clawrun::host
