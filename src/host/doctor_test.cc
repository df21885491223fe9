#include "host/doctor.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <nlohmann/json.hpp>
#include <set>

#include "cgroup/view.h"
#include "host/explain.h"
#include "host/probe.h"
#include "host/surroundings.h"

namespace clawrun::host {

TEST_CASE("every finding of this host has an id of its own, and what is lost has a remedy") {
  const std::vector<Check> checks = diagnose();
  std::set<std::string> ids;
  for (const Check& check : checks) {
    CAPTURE(check.id);
    CHECK(ids.insert(check.id).second);
    CHECK(check.id.find('.') != std::string::npos);
    CHECK_FALSE(check.title.empty());
    CHECK_FALSE(check.found.empty());
    CHECK(check.lost.empty() == check.remedy.empty());
    const bool bad = check.status == Check::Status::kMissing || check.status == Check::Status::kDegraded;
    if (bad) CHECK_FALSE(check.lost.empty());
    for (const std::string* line : {&check.found, &check.lost, &check.remedy}) CHECK(line->find('\n') == std::string::npos);
  }
  for (const char* id : {"userns.create", "seccomp.filter", "landlock.abi", "cgroup.layout", "kernel.clone3", "host.container"})
    CHECK(ids.contains(id));
  const auto json = nlohmann::json::parse(to_json(checks));
  CHECK(json["checks"].size() == checks.size());
  CHECK(json["verdict"] == verdict_word(verdict_of(checks)));
  const std::string text = to_text(checks);
  for (const Check& check : checks) CHECK(text.find(check.title) != std::string::npos);
}

TEST_CASE("the verdict follows need and status") {
  using enum Check::Status;
  using enum Check::Need;
  Check required{.id = "a.b", .status = kOk, .lost = "X", .need = kRequired};
  Check wall{.id = "c.d", .status = kOk, .lost = "Y", .need = kProtection};
  Check extra{.id = "e.f", .status = kMissing, .lost = "Z", .need = kOptional};
  const auto verdict = [&] {
    const Check checks[] = {required, wall, extra};
    return verdict_of(checks);
  };
  CHECK(verdict() == Verdict::kReady);
  wall.status = kMissing;
  CHECK(verdict() == Verdict::kDegraded);
  const Check degraded[] = {required, wall, extra};
  CHECK(verdict_line(degraded) == "`clawrun exec` works here, but lost are: Y.");
  required.status = kDegraded;
  CHECK(verdict() == Verdict::kDegraded);
  required.status = kMissing;
  CHECK(verdict() == Verdict::kUnable);
}

TEST_CASE("bytes of the host cannot break the terminal or the JSON") {
  const Check checks[] = {{.id = "host.x", .title = "t", .found = "a\x1b[31m\xff\n"}};
  CHECK(to_text(checks).find('\x1b') == std::string::npos);
  CHECK(nlohmann::json::accept(to_json(checks)));
}

TEST_CASE("a probe cannot hang or kill the caller") {
  const ProbeResult hung = run_probe(
      [](ProbePage&) {
        for (;;) pause();
      },
      {.limit_ms = 20});
  CHECK(hung.end == ProbeEnd::kTimedOut);
  CHECK(hung.error() == ETIMEDOUT);
  const ProbeResult killed = run_probe([](ProbePage&) { raise(SIGKILL); });
  CHECK(killed.end == ProbeEnd::kKilled);
  CHECK(killed.signal == SIGKILL);
  const ProbeResult failed = run_probe([](ProbePage& page) {
    errno = EXDEV;
    page.failed(kFirstOwnStep);
  });
  CHECK(failed.end == ProbeEnd::kReturned);
  CHECK_FALSE(failed.ok());
  CHECK(failed.error() == EXDEV);
}

TEST_CASE("what blocks user namespaces is named with its remedy") {
  struct Row {
    UsernsBlocks blocks;
    int error;
    const char* reason;
    const char* remedy;
  };
  const Row rows[] = {
      {{.unprivileged_clone = 0}, EPERM, "unprivileged_userns_clone=0", "sysctl -w kernel.unprivileged_userns_clone=1"},
      {{.max_user_namespaces = 0}, ENOSPC, "user.max_user_namespaces=0", "sysctl -w user.max_user_namespaces"},
      {{.max_user_namespaces = 5}, EUSERS, "32 deep", "outer namespace"},
      {{.apparmor_restrict = 1, .program = "/opt/clawrun"}, EACCES, "AppArmor", "profile clawrun /opt/clawrun"},
      {{.selinux_deny = true}, EACCES, "SELinux", "setsebool -P deny_userns off"},
      {{.chrooted = true}, EPERM, "chroot", "outside of the chroot"},
      {{.unmapped_id = true}, EPERM, "no mapping", "uid_map"},
      {{.seccomp_filter = true, .surrounding = Surrounding::kDocker},
       EPERM,
       "Docker",
       "docker run --security-opt seccomp=unconfined"},
      {{.seccomp_filter = true, .surrounding = Surrounding::kKubernetes}, EPERM, "Kubernetes", "seccompProfile"},
      {{}, EINVAL, "CONFIG_USER_NS", "CONFIG_USER_NS=y"},
  };
  for (const Row& row : rows) {
    const Explanation explanation = explain(row.blocks, row.error);
    CAPTURE(row.reason);
    CHECK(explanation.reason.find(row.reason) != std::string::npos);
    CHECK(explanation.remedy.find(row.remedy) != std::string::npos);
  }
  // The sysctl of ordinary users is no reason for a caller with CAP_SYS_ADMIN.
  CHECK(explain({.unprivileged_clone = 0, .privileged = true}, EPERM).reason.find("sysctl") == std::string::npos);
  CHECK_FALSE(explain_userns_failure(EPERM).empty());
}

TEST_CASE("what blocks a mount is named with its remedy") {
  const UsernsBlocks docker{.masked_proc = true, .surrounding = Surrounding::kDocker};
  CHECK(explain_mount(docker, "proc", EPERM).remedy == "docker run --security-opt systempaths=unconfined ...");
  CHECK(explain_mount({}, "overlay", ENODEV).remedy == "modprobe overlay");
  CHECK(explain_mount({}, "overlay", EPERM).reason.find("5.11") != std::string::npos);
  CHECK(explain_mount({.apparmor_restrict = 1}, "tmpfs", EACCES).reason.find("AppArmor") != std::string::npos);
  CHECK(has_masked_proc("1 2 0:3 / /proc/kcore rw - tmpfs tmpfs rw"));
  CHECK_FALSE(has_masked_proc("1 2 0:3 / /proc rw - proc proc rw\n1 2 0:3 / /proc/sys/fs/binfmt_misc rw - autofs systemd-1 rw"));
}

TEST_CASE("container managers are told apart") {
  const std::string overlay = "1 2 0:3 / / rw - overlay overlay rw";
  const std::string ext4 = "1 2 0:3 / / rw - ext4 /dev/vda rw";
  const auto kind = [](const Clues& clues) { return identify(clues).kind; };
  CHECK(kind({.dockerenv = true, .mountinfo = overlay}) == Surrounding::kDocker);
  CHECK(kind({.containerenv = true, .mountinfo = overlay}) == Surrounding::kPodman);
  CHECK(kind({.dockerenv = true, .kubernetes_service = true}) == Surrounding::kKubernetes);
  CHECK(kind({.pid1_cgroup = "0::/kubepods/besteffort/pod1"}) == Surrounding::kKubernetes);
  CHECK(kind({.container_word = "lxc"}) == Surrounding::kLxc);
  CHECK(kind({.container_word = "systemd-nspawn"}) == Surrounding::kNspawn);
  CHECK(kind({.proc_version = "Linux version 5.15.1-microsoft-standard-WSL2"}) == Surrounding::kWsl);
  CHECK(kind({.proc_version = "Linux version 4.4.0 #1 SMP Sun Jan 10 15:06:54 PST 2016"}) == Surrounding::kGvisor);
  CHECK(kind({.container_word = "strange"}) == Surrounding::kOther);
  CHECK(kind({.dockerenv = true, .mountinfo = ext4, .initial_pid_namespace = true}) == Surrounding::kNone);
  CHECK(kind({.dockerenv = true, .mountinfo = overlay, .initial_pid_namespace = true}) == Surrounding::kDocker);
  CHECK(kind({}) == Surrounding::kNone);
}

TEST_CASE("cgroup layouts are read from mountinfo") {
  const std::string v2 = "30 20 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate";
  const std::string memory = "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory";
  const std::string named = "40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd";
  const std::string unified = "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw";

  const cgroup::View pure = cgroup::parse_view(v2, "0::/user.slice/a.scope\n");
  CHECK(pure.layout == cgroup::Layout::kV2);
  CHECK(pure.v2.own_directory == "/sys/fs/cgroup/user.slice/a.scope");

  const cgroup::View hybrid =
      cgroup::parse_view(memory + "\n" + named + "\n" + unified, "4:memory:/x\n1:name=systemd:/y\n0::/\n");
  CHECK(hybrid.layout == cgroup::Layout::kHybrid);
  REQUIRE(hybrid.v1.size() == 1);
  CHECK(hybrid.v1[0].own_directory == "/sys/fs/cgroup/memory/x");
  CHECK(hybrid.v2.own_directory == "/sys/fs/cgroup/unified");

  CHECK(cgroup::parse_view(memory, "").layout == cgroup::Layout::kV1);
  CHECK(cgroup::parse_view("", "").layout == cgroup::Layout::kNone);
  CHECK(cgroup::parse_view("a b - cgroup2", "x").layout == cgroup::Layout::kNone);

  // Docker without a cgroup namespace mounts the container's own group only.
  const cgroup::View bound = cgroup::parse_view("30 20 0:26 /docker/abc /sys/fs/cgroup ro - cgroup2 cgroup rw", "0::/docker/abc");
  CHECK(bound.v2.own_directory == "/sys/fs/cgroup");
  const cgroup::View outside = cgroup::parse_view("30 20 0:26 / /sys/fs/cgroup ro - cgroup2 cgroup rw", "0::/../other");
  CHECK(outside.v2.own_directory == "/sys/fs/cgroup");
}

}  // namespace clawrun::host
