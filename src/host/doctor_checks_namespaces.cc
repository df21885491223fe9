// User namespaces and what blocks them, the other kinds of namespaces, and id ranges.
#include <fcntl.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "base/text.h"
#include "host/doctor_checks.h"
#include "host/files.h"
#include "host/probe.h"
#include "host/sub_ids.h"

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif

namespace clawrun::host {

namespace {

struct NamespaceRow {
  std::string_view name;
  int flag;
  Check::Need need;
  std::string_view lost;
  std::string_view config;
};

constexpr NamespaceRow kNamespaces[] = {
    {"mount", CLONE_NEWNS, Check::Need::kRequired, "a root file system of its own", "CONFIG_NAMESPACES=y"},
    {"pid", CLONE_NEWPID, Check::Need::kRequired, "hiding and killing all processes of a sandbox", "CONFIG_PID_NS=y"},
    {"network", CLONE_NEWNET, Check::Need::kRequired, "a network of its own, or none", "CONFIG_NET_NS=y"},
    {"ipc", CLONE_NEWIPC, Check::Need::kRequired, "System V IPC and message queues of its own", "CONFIG_IPC_NS=y"},
    {"uts", CLONE_NEWUTS, Check::Need::kRequired, "a host name of its own", "CONFIG_UTS_NS=y"},
    {"cgroup", CLONE_NEWCGROUP, Check::Need::kProtection, "hiding the host's cgroup paths", "CONFIG_CGROUPS=y"},
    {"time", CLONE_NEWTIME, Check::Need::kOptional, "clocks of its own (on request only)", "CONFIG_TIME_NS=y"},
};

void probe_user_namespace(ProbePage& page) {
  enter_user_namespace(page);
}

void probe_namespaces(ProbePage& page) {
  if (!enter_user_namespace(page)) return;
  for (std::size_t i = 0; i < std::size(kNamespaces); ++i) page.errnos[i] = unshare(kNamespaces[i].flag) == 0 ? 0 : errno;
}

Check user_namespace(const DoctorContext& context, const ProbeResult& probe) {
  Check check{.id = "userns.create", .title = "user namespaces", .need = Check::Need::kRequired};
  if (probe.ok()) {
    check.status = Check::Status::kOk;
    check.found = "created and mapped in a trial";
    return check;
  }
  check.status = Check::Status::kMissing;
  const bool at_map = probe.end == ProbeEnd::kReturned && probe.page.step == kStepWriteMap;
  check.found =
      std::string(at_map ? "created, but writing the id map failed with " : "refused with ") + errno_text(probe.error());
  check.lost = "every sandbox";
  if (at_map && probe.error() == ENOENT) {
    check.remedy = "mount -t proc proc /proc";
    return check;
  }
  const Explanation explanation = explain(context.blocks, probe.error());
  check.found += ": " + explanation.reason;
  check.remedy = explanation.remedy;
  return check;
}

// A setting that may block user namespaces, reported also where this caller is not concerned: another user may be.
Check block(std::string id, std::string title, bool blocks, std::string found, const Explanation& explanation, bool concerns_us) {
  Check check{.id = std::move(id), .title = std::move(title), .status = Check::Status::kOk, .found = std::move(found)};
  if (!blocks) return check;
  check.status = concerns_us ? Check::Status::kMissing : Check::Status::kInfo;
  check.need = concerns_us ? Check::Need::kProtection : Check::Need::kOptional;
  check.lost = concerns_us ? "user namespaces" : "user namespaces of ordinary users (not ours)";
  check.remedy = explanation.remedy;
  return check;
}

void check_blocks(const DoctorContext& context, Checks& out) {
  const UsernsBlocks& blocks = context.blocks;
  const bool ordinary = !context.facts.privileged;
  const auto shown = [](const char* name, std::optional<std::int64_t> value) {
    return std::string(name) + (value ? "=" + std::to_string(*value) : ": not in this kernel");
  };
  UsernsBlocks only{.unprivileged_clone = 0};
  out.push_back(block("userns.unprivileged_clone", "userns sysctl of Debian", blocks.unprivileged_clone == 0,
                      shown("kernel.unprivileged_userns_clone", blocks.unprivileged_clone), explain(only, EPERM), ordinary));
  only = UsernsBlocks{.max_user_namespaces = 0};
  out.push_back(block("userns.max", "limit of user namespaces", blocks.max_user_namespaces == 0,
                      shown("user.max_user_namespaces", blocks.max_user_namespaces), explain(only, ENOSPC), true));
  only = UsernsBlocks{.apparmor_restrict = 1, .program = blocks.program};
  out.push_back(block("userns.apparmor", "AppArmor and user namespaces", blocks.apparmor_restrict.value_or(0) != 0,
                      shown("kernel.apparmor_restrict_unprivileged_userns", blocks.apparmor_restrict), explain(only, EPERM),
                      ordinary));
  only = UsernsBlocks{.selinux_deny = true};
  const char* selinux = blocks.selinux_deny        ? "deny_userns is on"
                        : blocks.selinux_enforcing ? "enforcing, user namespaces allowed"
                                                   : "not enforcing";
  out.push_back(
      block("userns.selinux", "SELinux and user namespaces", blocks.selinux_deny, selinux, explain(only, EACCES), true));
  only = UsernsBlocks{.chrooted = true};
  out.push_back(block("userns.chroot", "chroot", blocks.chrooted, blocks.chrooted ? "this process is in a chroot" : "no",
                      explain(only, EPERM), true));
}

// A block named above is only the reason of what the trial showed: where the trial succeeded, it blocks nothing of ours.
void soften_blocks(Checks& checks) {
  for (Check& check : checks) {
    if (!check.id.starts_with("userns.") || check.id == "userns.create" || check.status != Check::Status::kMissing) continue;
    check.status = Check::Status::kInfo;
    check.need = Check::Need::kOptional;
    check.found += " (but the trial succeeded)";
    check.lost = "user namespaces of programs without an exception";
  }
}

bool may_act_as_root(const std::string& path) {
  struct stat status {};
  if (stat(path.c_str(), &status) != 0) return false;
  return (status.st_mode & S_ISUID) != 0 || getxattr(path.c_str(), "security.capability", nullptr, 0) > 0;
}

std::string helper_state(const char* name) {
  for (const char* directory : {"/usr/bin/", "/bin/", "/usr/local/bin/", "/run/wrappers/bin/"}) {
    const std::string path = std::string(directory) + name;
    if (exists(path.c_str())) return may_act_as_root(path) ? "" : path + " has neither the setuid bit nor file capabilities";
  }
  return std::string(name) + " is not installed";
}

std::string range_words(const std::vector<SubIdRange>& ranges) {
  std::vector<std::string> parts;
  parts.reserve(ranges.size());
  for (const SubIdRange& range : ranges) parts.push_back(std::to_string(range.count) + " from " + std::to_string(range.start));
  return join(parts, ", ");
}

Check id_ranges(const DoctorContext& context, const char* file, const char* id, const char* option) {
  Check check{.id = id, .title = std::string("ranges in ") + file, .status = Check::Status::kOk};
  const auto ranges = sub_id_ranges(file, context.facts.uid);
  if (ranges && !ranges->empty()) {
    check.found = range_words(*ranges);
    return check;
  }
  check.found = ranges ? "none for uid " + std::to_string(context.facts.uid) : ranges.error().message;
  if (context.facts.privileged) {
    check.status = Check::Status::kInfo;
    check.found += " (root needs none)";
    return check;
  }
  std::string user = login_name(read_or_empty("/etc/passwd"), context.facts.uid);
  if (user.empty()) user = std::to_string(context.facts.uid);
  check.status = Check::Status::kDegraded;
  check.lost = "more than one id inside a sandbox (package installs, images with several owners)";
  // Ranges of two users must not overlap, and usermod(8) does not look.
  const std::uint64_t free = first_free_sub_id(read_or_empty(file));
  check.remedy = ranges ? "sudo usermod " + std::string(option) + " " + std::to_string(free) + "-" +
                              std::to_string(free + 65535) + " " + user
                        : "mend the line in " + std::string(file);
  return check;
}

Check map_helper(const DoctorContext& context, const char* name) {
  Check check{.id = std::string("userns.") + name,
              .title = name,
              .status = Check::Status::kOk,
              .found = "installed, with the right to map"};
  const std::string problem = helper_state(name);
  if (problem.empty()) return check;
  check.found = problem;
  if (context.facts.privileged) {
    check.status = Check::Status::kInfo;
    check.found += " (root needs none)";
    return check;
  }
  check.status = Check::Status::kDegraded;
  check.lost = "more than one id inside a sandbox";
  check.remedy = "sudo apt-get install --reinstall uidmap (Fedora: shadow-utils)";
  return check;
}

}  // namespace

void check_namespaces(const DoctorContext& context, Checks& out) {
  const ProbeResult trial = run_probe(probe_user_namespace);
  out.push_back(user_namespace(context, trial));
  check_blocks(context, out);
  if (!trial.ok()) return;
  soften_blocks(out);
  const ProbeResult probe = run_probe(probe_namespaces);
  for (std::size_t i = 0; i < std::size(kNamespaces); ++i) {
    const NamespaceRow& row = kNamespaces[i];
    Check check{.id = "ns." + std::string(row.name), .title = std::string(row.name) + " namespace", .need = row.need};
    const int error = probe.ok() ? probe.page.errnos[i] : probe.error();
    check.status = error == 0 ? Check::Status::kOk : Check::Status::kMissing;
    check.found = error == 0 ? "created in a trial" : "refused with " + errno_text(error);
    if (error != 0) check.lost = row.lost;
    if (error == EINVAL || error == ENOSYS) {
      check.remedy = "run a kernel with " + std::string(row.config);
    } else if (error == ENOSPC) {
      check.remedy = "sysctl -a | grep '^user.max_', and raise the limit that is 0";
    } else if (error != 0) {
      check.remedy = loosening(context.surroundings.kind).seccomp;
    }
    out.push_back(std::move(check));
  }
}

void check_identity(const DoctorContext& context, Checks& out) {
  out.push_back(id_ranges(context, "/etc/subuid", "userns.subuid", "--add-subuids"));
  out.push_back(id_ranges(context, "/etc/subgid", "userns.subgid", "--add-subgids"));
  out.push_back(map_helper(context, "newuidmap"));
  out.push_back(map_helper(context, "newgidmap"));
}

}  // namespace clawrun::host
