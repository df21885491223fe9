#include <doctest/doctest.h>
#include <linux/mount.h>
#include <linux/sched.h>
#include <sys/resource.h>

#include <algorithm>

#include "plan/compile.h"

namespace clawrun::plan {

namespace {

host::HostFacts a_host(bool privileged) {
  host::HostFacts facts;
  facts.kernel = {6, 1};
  facts.uid = privileged ? 0 : 1001;
  facts.gid = facts.uid;
  facts.privileged = privileged;
  facts.landlock_abi = 6;
  facts.has_clone3 = facts.has_openat2 = facts.has_close_range = facts.has_mount_api = facts.has_mount_setattr =
      facts.has_seccomp_filter = true;
  return facts;
}

Inputs some_inputs(bool privileged) {
  Inputs inputs;
  inputs.host = a_host(privileged);
  inputs.root.name = "host";
  inputs.root.entries = {{"/usr", host::HostEntry::Kind::kDirectory, ""}, {"/bin", host::HostEntry::Kind::kSymlink, "usr/bin"}};
  inputs.loopback_request = "netlink";
  inputs.resolver = "/etc/resolv.conf";
  inputs.resolver = "/etc/resolv.conf";
  return inputs;
}

spec::SandboxSpec with_command(std::string command = "true") {
  spec::SandboxSpec spec;
  spec.command = {std::move(command)};
  return spec;
}

Result<Plan> compiled(const spec::SandboxSpec& spec, const Inputs& inputs) {
  const auto valid = spec::validate(spec);
  REQUIRE(valid);
  return compile(*valid, inputs);
}

const Operation* find(const Plan& plan, child::Op op, std::string_view target) {
  const auto found =
      std::ranges::find_if(plan.operations, [&](const Operation& one) { return one.op == op && one.target == target; });
  return found == plan.operations.end() ? nullptr : &*found;
}

}  // namespace

TEST_CASE("all namespaces are new; host network is the only one that can be kept") {
  const auto plan = compiled(with_command(), some_inputs(false));
  REQUIRE(plan);
  CHECK(plan->clone_flags == (CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP));
  CHECK(plan->new_network);
  spec::SandboxSpec spec = with_command();
  spec.network = spec::Network::kHost;
  const auto open = compiled(spec, some_inputs(false));
  REQUIRE(open);
  CHECK_FALSE(open->new_network);
}

TEST_CASE("default limits keep a host alive; what cannot be given is an error only where it was asked for") {
  Inputs inputs = some_inputs(false);
  inputs.available_memory_bytes = 1 << 30U;
  inputs.cgroup_place.v2 = {{"memory", "pids"}, "/sys/fs/cgroup", "/sys/fs/cgroup"};
  const auto plan = compiled(with_command(), inputs);
  REQUIRE(plan);
  REQUIRE(plan->cgroup);
  CHECK(plan->cgroup->limits.memory_bytes == 512 << 20U);
  CHECK(plan->cgroup->limits.memory_swap_bytes == 0);
  CHECK(plan->cgroup->limits.pids == 512);
  inputs.available_memory_bytes = 64ULL << 30U;
  CHECK(compiled(with_command(), inputs)->cgroup->limits.memory_bytes == 2ULL << 30U);

  spec::SandboxSpec lifted = with_command();
  lifted.limits.memory_bytes = lifted.limits.pids = cgroup::kUnlimited;
  CHECK(wanted_controllers(lifted, inputs.host).empty());
  CHECK(wanted_controllers(with_command(), inputs.host) == std::vector<std::string_view>{"memory", "pids", "cpuacct"});

  Inputs nowhere = some_inputs(false);
  nowhere.cgroup_place.missing = {{"memory", "not delegated"}, {"pids", "not delegated"}};
  const auto without = compiled(with_command(), nowhere);
  REQUIRE(without);
  CHECK_FALSE(without->cgroup);
  CHECK(without->notes.size() == 2);
  spec::SandboxSpec asked = with_command();
  asked.limits.memory_bytes = 64 << 20U;
  const auto refused = compiled(asked, nowhere);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().message.find("not delegated") != std::string::npos);
  asked.allow_degraded = true;
  const auto degraded = compiled(asked, nowhere);
  REQUIRE(degraded);
  CHECK(degraded->degradations.size() == 1);
}

TEST_CASE("an ordinary user is mapped to itself alone, root to an id of the sandbox's own") {
  const auto user = compiled(with_command(), some_inputs(false));
  REQUIRE(user);
  CHECK(user->ids.outside == IdMaps::Outside::kOwn);
  CHECK(user->ids.uids[0].inside == 1000);
  CHECK(user->ids.uids[0].outside == 1001);
  CHECK(user->ids.deny_setgroups);
  CHECK_FALSE(user->change_identity);
  const auto root = compiled(with_command(), some_inputs(true));
  REQUIRE(root);
  CHECK(root->ids.outside == IdMaps::Outside::kPerProcess);
  CHECK(root->ids.range_start == 0x70000000);
  CHECK(root->change_identity);
  CHECK(root->drop_groups);
}

TEST_CASE("a range of ids is taken around the caller's own") {
  spec::SandboxSpec spec = with_command();
  spec.id_mapping = spec::IdMapping::kRange;
  spec.uid = spec.gid = 0;
  Inputs inputs = some_inputs(false);
  CHECK_FALSE(compiled(spec, inputs));
  inputs.sub_uids = {{100000, 1000}, {300000, 100000}};
  inputs.sub_gids = {{100000, 65536}};
  const auto plan = compiled(spec, inputs);
  REQUIRE(plan);
  CHECK(plan->ids.with_helpers);
  std::uint64_t total = 0;
  std::uint32_t next = 0;
  for (const IdMapLine& line : plan->ids.uids) {
    CHECK(line.inside == next);
    next = line.inside + line.count;
    total += line.count;
  }
  CHECK(total == 65536);
  spec.uid = spec.gid = 1000;
  const auto inner = compiled(spec, inputs);
  REQUIRE(inner);
  CHECK(std::ranges::count_if(inner->ids.uids,
                              [](const IdMapLine& line) { return line.inside <= 1000 && 1000 < line.inside + line.count; }) == 1);
  CHECK(inner->ids.uids[0].outside == 1001);
}

TEST_CASE("the root ends read-only unless it is writable, and nothing is mounted with suid or devices") {
  const auto plan = compiled(with_command(), some_inputs(true));
  REQUIRE(plan);
  REQUIRE(find(*plan, child::Op::kAttributes, "") != nullptr);
  CHECK(find(*plan, child::Op::kAttributes, "")->attr_set == MOUNT_ATTR_RDONLY);
  for (const Operation& op : plan->operations) {
    if (op.op != child::Op::kFilesystem && op.op != child::Op::kBind) continue;
    CAPTURE(op.target);
    CHECK((op.attr_set & MOUNT_ATTR_NOSUID) != 0);
    if (op.target != "dev" && op.target != "dev/pts") CHECK((op.attr_set & MOUNT_ATTR_NODEV) != 0);
  }
  spec::SandboxSpec spec = with_command();
  spec.writable = true;
  const auto writable = compiled(spec, some_inputs(true));
  REQUIRE(writable);
  CHECK(find(*writable, child::Op::kAttributes, "") == nullptr);
}

TEST_CASE("binds of root are id-mapped and opened by root; a user's are opened by the child") {
  spec::SandboxSpec spec = with_command();
  spec.workspace = spec::Bind{"/home/x", "/workspace", false};
  Inputs inputs = some_inputs(true);
  inputs.workspace = SourceFacts{true, 1234, 1235};
  const auto root = compiled(spec, inputs);
  REQUIRE(root);
  const Operation* bind = find(*root, child::Op::kBind, "workspace");
  REQUIRE(bind != nullptr);
  CHECK(bind->by_parent);
  REQUIRE(bind->idmap);
  CHECK(bind->idmap->uid == 1234);
  inputs.host = a_host(false);
  const auto user = compiled(spec, inputs);
  REQUIRE(user);
  CHECK_FALSE(find(*user, child::Op::kBind, "workspace")->by_parent);
  CHECK_FALSE(find(*user, child::Op::kBind, "workspace")->idmap);
}

TEST_CASE("mount points are never made in a directory of the caller") {
  spec::SandboxSpec spec = with_command();
  spec.workspace = spec::Bind{"/home/x", "/workspace", false};
  spec.binds = {{"/data", "/workspace/data", true}, {"/etc/x", "/opt/deep/x", true}};
  Inputs inputs = some_inputs(false);
  inputs.workspace = SourceFacts{};
  inputs.binds = {SourceFacts{}, SourceFacts{false, 0, 0}};
  const auto plan = compiled(spec, inputs);
  REQUIRE(plan);
  CHECK(find(*plan, child::Op::kDirectory, "workspace/data") == nullptr);
  CHECK(find(*plan, child::Op::kFile, "opt/deep/x") != nullptr);
}

TEST_CASE("parents are mounted before children, whatever the order they were given in") {
  spec::SandboxSpec spec = with_command();
  spec.binds = {{"/a", "/x/y/z", true}, {"/b", "/x", true}};
  Inputs inputs = some_inputs(false);
  inputs.binds = {SourceFacts{}, SourceFacts{}};
  const auto plan = compiled(spec, inputs);
  REQUIRE(plan);
  CHECK(find(*plan, child::Op::kBind, "x") < find(*plan, child::Op::kBind, "x/y/z"));
}

TEST_CASE("a directory root that lacks mount points gets a layer above it") {
  Inputs inputs = some_inputs(false);
  inputs.root = {.is_host = false, .name = "r", .path = "/r", .source = {}, .missing = {}, .entries = {}};
  const auto plain = compiled(with_command(), inputs);
  REQUIRE(plain);
  CHECK(plain->operations[0].op == child::Op::kBind);
  CHECK((plain->operations[0].attr_set & MOUNT_ATTR_RDONLY) != 0);
  inputs.root.missing = {"/workspace"};
  const auto layered = compiled(with_command(), inputs);
  REQUIRE(layered);
  const Operation* overlay = find(*layered, child::Op::kFilesystem, "root");
  REQUIRE(overlay != nullptr);
  CHECK(overlay->source == "overlay");
  CHECK((find(*layered, child::Op::kBind, "lower")->attr_set & MOUNT_ATTR_RDONLY) != 0);
}

TEST_CASE("limits above the caller's own are refused, defaults are lowered to them") {
  Inputs inputs = some_inputs(false);
  inputs.hard_limits.nofile = 100;
  const auto lowered = compiled(with_command(), inputs);
  REQUIRE(lowered);
  const auto nofile = std::ranges::find(lowered->rlimits, RLIMIT_NOFILE, &child::Rlimit::resource);
  REQUIRE(nofile != lowered->rlimits.end());
  CHECK(nofile->soft == 100);
  spec::SandboxSpec spec = with_command();
  spec.nofile = 101;
  const auto refused = compiled(spec, inputs);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().message.find("--nofile") != std::string::npos);
}

TEST_CASE("Landlock rights follow the ABI") {
  Inputs inputs = some_inputs(false);
  const auto full = compiled(with_command(), inputs);
  REQUIRE(full);
  CHECK(full->landlock.scoped == 3);
  CHECK(full->landlock.handled_net == 0);
  inputs.host.landlock_abi = 1;
  const auto first = compiled(with_command(), inputs);
  REQUIRE(first);
  CHECK(first->landlock.handled_fs == 0x1fff);
  CHECK(first->landlock.attr_size == 8);
  for (const LandlockRule& rule : first->landlock.rules) CHECK((rule.access & ~first->landlock.handled_fs) == 0);
  inputs.host.landlock_abi = 0;
  const auto none = compiled(with_command(), inputs);
  REQUIRE(none);
  CHECK_FALSE(none->landlock.enabled);
  CHECK(none->degradations.size() == 1);
  spec::SandboxSpec spec = with_command();
  spec.landlock = spec::Switch::kOn;
  CHECK_FALSE(compiled(spec, inputs));
  spec.allow_degraded = true;
  CHECK(compiled(spec, inputs));
}

TEST_CASE("what the kernel must have is named") {
  Inputs inputs = some_inputs(false);
  inputs.host.has_mount_setattr = false;
  const auto plan = compiled(with_command(), inputs);
  REQUIRE_FALSE(plan);
  CHECK(plan.error().kind == ErrorKind::kUnsupported);
  CHECK(plan.error().message.find("mount_setattr") != std::string::npos);
}

TEST_CASE("commands are looked up in the sandbox's PATH, never in the current directory") {
  spec::SandboxSpec spec = with_command("ls");
  spec.environment = {{"PATH", "/a::/b:rel:."}, {"X", std::nullopt}, {"HOME", "/h"}};
  const auto plan = compiled(spec, some_inputs(false));
  REQUIRE(plan);
  CHECK(plan->candidates == std::vector<std::string>{"/a/ls", "/b/ls"});
  CHECK(std::ranges::count(plan->environment, "HOME=/h") == 1);
  CHECK(std::ranges::none_of(plan->environment, [](const std::string& one) { return one.starts_with("X"); }));
  const auto path = compiled(with_command("./x"), some_inputs(false));
  REQUIRE(path);
  CHECK(path->candidates == std::vector<std::string>{"./x"});
}

TEST_CASE("a terminal of the caller never goes in") {
  Inputs inputs = some_inputs(false);
  inputs.streams[1] = StreamFacts::kTerminal;
  const auto plan = compiled(with_command(), inputs);
  REQUIRE(plan);
  CHECK(plan->streams[0] == Stream::kInherit);
  CHECK(plan->streams[1] == Stream::kPipe);
}

}  // namespace clawrun::plan
