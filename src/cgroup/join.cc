#include "cgroup/join.h"

#include <fcntl.h>

#include <algorithm>

#include "base/text.h"
#include "cgroup/files.h"
#include "cgroup/place.h"
#include "sys/sys.h"

namespace clawrun::cgroup {

namespace {

constexpr std::size_t kMaxProcText = 1 << 20U;

struct Subgroup {
  std::vector<std::string_view> controllers;  // empty: in every hierarchy
  std::string_view path;
};

Result<Subgroup> parse_subgroup(std::string_view text) {
  Subgroup subgroup;
  const std::size_t colon = text.find(':');
  if (colon != std::string_view::npos) subgroup.controllers = split(text.substr(0, colon), ',');
  subgroup.path = colon == std::string_view::npos ? text : text.substr(colon + 1);
  for (const std::string_view part : split(subgroup.path, '/'))
    if (part == ".." || part == "." || part.find('\0') != std::string_view::npos)
      return fail(ErrorKind::kInvalid, "--cgroup: " + quoted(subgroup.path.substr(0, 300)) + " is not a sub cgroup path");
  return subgroup;
}

bool concerns(const Subgroup& subgroup, const Location::Directory& directory) {
  return subgroup.controllers.empty() || std::ranges::any_of(subgroup.controllers, [&](std::string_view name) {
           return std::ranges::find(directory.controllers, name) != directory.controllers.end();
         });
}

std::string joined(const std::string& directory, std::string_view below) {
  while (below.starts_with('/')) below.remove_prefix(1);
  while (below.ends_with('/')) below.remove_suffix(1);
  return below.empty() ? directory : directory + "/" + std::string(below);
}

// Where the first process is, in the hierarchy of v2 as this process sees it.
Result<std::string> group_of(pid_t pid) {
  const std::string mounts = TRY(sys::read_file("/proc/self/mountinfo", 4 * kMaxProcText));
  const std::string groups = TRY(sys::read_file("/proc/" + std::to_string(pid) + "/cgroup", kMaxProcText));
  return parse_view(mounts, groups).v2.own_directory;
}

// kernel.org, cgroup-v2, "No Internal Process Constraint".
bool takes_no_process(const std::string& directory) {
  const auto fd = open_directory(directory);
  if (!fd) return false;
  const auto enabled = read_control(fd->get(), "cgroup.subtree_control");
  return enabled && enabled->find_first_not_of(" \n") != std::string::npos;
}

Result<std::string> v2_group(const Location& location, const Subgroup& subgroup, const JoinRequest& request) {
  const std::string& leaf = location.v2.path;
  if (!request.subgroup.empty() && concerns(subgroup, location.v2)) return joined(leaf, subgroup.path);
  if (request.init <= 0 || !takes_no_process(leaf)) return leaf;
  const std::string of_init = TRY(group_of(request.init));
  if (of_init == leaf || of_init.starts_with(leaf + "/")) return of_init;
  return fail(ErrorKind::kSystem, "the cgroup " + shown(leaf) +
                                      " has groups of its own and takes no process, and the container's " +
                                      "first process is not below it but in " + shown(of_init) + "; give --cgroup");
}

// No component is a link: the container can make groups, and nothing else, in there.
Result<UniqueFd> open_group(const std::string& path) {
  auto directory = open_directory(path);
  if (directory) return directory;
  return while_doing("joining the container's cgroup " + shown(path), std::move(directory).error());
}

Result<> check_controllers(const Location& location, const Subgroup& subgroup) {
  for (const std::string_view name : subgroup.controllers) {
    const Subgroup one{{name}, {}};
    const bool known = (!location.v2.path.empty() && concerns(one, location.v2)) ||
                       std::ranges::any_of(location.v1, [&](const auto& directory) { return concerns(one, directory); });
    if (!known)
      return fail(ErrorKind::kInvalid, "--cgroup: unknown controller " + quoted(name) + " in " + quoted(subgroup.path) +
                                           ": the container has no cgroup with it");
  }
  return {};
}

}  // namespace

Result<Joining> open_for_joining(const Location& location, const JoinRequest& request) {
  const Subgroup subgroup = TRY(parse_subgroup(request.subgroup));
  TRY(check_controllers(location, subgroup));
  Joining joining;
  if (!location.v2.path.empty()) {
    const std::string group = TRY(v2_group(location, subgroup, request));
    joining.v2 = TRY(open_group(group));
    joining.v2_procs = TRY(sys::open(group + "/cgroup.procs", O_WRONLY));
  }
  for (const Location::Directory& leaf : location.v1) {
    const bool below = !request.subgroup.empty() && concerns(subgroup, leaf);
    auto directory = open_group(below ? joined(leaf.path, subgroup.path) : leaf.path);
    // A hierarchy that a pause or an update would have made it in.
    if (!directory && !below && directory.error().errno_value == ENOENT) continue;
    if (!directory) return std::unexpected(std::move(directory).error());
    UniqueFd file(::openat(directory->get(), "tasks", O_WRONLY | O_CLOEXEC));
    if (!file.valid()) return fail_errno("opening tasks of " + leaf.path);
    joining.v1.push_back(std::move(file));
  }
  return joining;
}

}  // namespace clawrun::cgroup
