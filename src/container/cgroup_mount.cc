#include <fcntl.h>
#include <linux/mount.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "base/text.h"
#include "cgroup/place.h"
#include "container/in_root.h"
#include "container/mount.h"
#include "sys/sys.h"

namespace clawrun::container {

namespace {

constexpr std::size_t kMaxProcBytes = std::size_t{4} << 20U;
constexpr std::uint64_t kAttrs = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;

// A v1 hierarchy as /proc/self/mountinfo has it, the named ones ("name=systemd") too.
struct Hierarchy {
  std::string mount_point;
  std::string mount_root;
  std::string words;  // "cpu,cpuacct", or "name=systemd"
};

std::vector<Hierarchy> v1_hierarchies(std::string_view mountinfo) {
  std::vector<Hierarchy> found;
  for (const std::string_view line : split(mountinfo, '\n')) {
    const std::size_t dash = line.find(" - cgroup ");
    if (dash == std::string_view::npos) continue;
    const auto fields = split(line, ' ');
    const auto rest = split(line.substr(dash + 3), ' ');
    if (fields.size() < 6 || rest.size() < 3) continue;
    Hierarchy hierarchy{std::string(fields[4]), std::string(fields[3]), {}};
    for (const std::string_view word : split(rest[2], ','))
      if (word != "rw" && word != "ro" && word != "xattr" && word != "clone_children" && word != "noprefix" &&
          !word.starts_with("release_agent"))
        hierarchy.words += (hierarchy.words.empty() ? "" : ",") + std::string(word);
    const bool known = std::ranges::any_of(found, [&](const Hierarchy& other) { return other.words == hierarchy.words; });
    if (!hierarchy.words.empty() && !known) found.push_back(std::move(hierarchy));
  }
  return found;
}

// The path of this process in the hierarchy, as /proc/self/cgroup has it.
std::string own_path(std::string_view self_cgroup, std::string_view words) {
  const std::string_view wanted = split(words, ',').front();
  for (const std::string_view line : split(self_cgroup, '\n')) {
    const auto parts = split(line, ':');
    if (parts.size() < 3) continue;
    const auto names = split(parts[1], ',');
    if (std::ranges::find(names, wanted) != names.end()) return std::string(line.substr(parts[0].size() + parts[1].size() + 2));
  }
  return "/";
}

// The container's own group, bound from where the host has the hierarchy.
Result<UniqueFd> bind_own(const std::string& mount_point, std::string mount_root, std::string path) {
  if (mount_root != "/" && path.starts_with(mount_root)) path.erase(0, mount_root.size());
  UniqueFd tree = TRY(sys::open_tree_clone(mount_point + (path == "/" ? "" : path), false));
  return tree;
}

Result<> mount_v2(const Site& site, const oci::Mount& mount, int target) {
  const std::uint64_t attributes = attributes_of(mount.options.flags);
  // Without a cgroup namespace the whole host's tree would be seen: only the own part of it, and read-only unless the user
  // namespace guards it (CVE-2023-25809).
  if (site.cgroup_namespace) {
    auto fresh = new_filesystem("cgroup2", "cgroup", mount.options.data, 0);
    if (fresh) {
      TRY(set_attributes(fresh->get(), {.set = attributes}));
      return attach(fresh->get(), target);
    }
    if (fresh.error().errno_value != EPERM && fresh.error().errno_value != EBUSY)
      return std::unexpected(std::move(fresh).error());
  }
  const auto view = TRY(cgroup::current_view());
  if (view.v2.mount_point.empty()) return fail(ErrorKind::kUnsupported, "the host has no cgroup file system mounted");
  const UniqueFd tree = TRY(sys::open_tree_clone(view.v2.own_directory, false));
  TRY(set_attributes(tree.get(), {.set = attributes | (site.cgroup_namespace ? 0 : MOUNT_ATTR_RDONLY)}));
  return attach(tree.get(), target);
}

Result<> mount_v1_hierarchy(const Site& site, const Hierarchy& hierarchy, const std::string& self, int directory,
                            bool read_only) {
  const std::string name = hierarchy.words.starts_with("name=") ? hierarchy.words.substr(5) : hierarchy.words;
  if (::mkdirat(directory, name.c_str(), 0755) != 0) return fail_errno("making a directory for " + name);
  const UniqueFd place(::openat(directory, name.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  UniqueFd mount;
  if (site.cgroup_namespace) {
    if (auto fresh = new_filesystem("cgroup", hierarchy.words.starts_with("name=") ? name : "cgroup", hierarchy.words, 0))
      mount = std::move(*fresh);
  }
  if (!mount.valid()) mount = TRY(bind_own(hierarchy.mount_point, hierarchy.mount_root, own_path(self, hierarchy.words)));
  TRY(set_attributes(mount.get(), {.set = kAttrs | (read_only ? MOUNT_ATTR_RDONLY : 0)}));
  TRY(attach(mount.get(), place.get()));
  // The names of the controllers one by one, as everybody expects them.
  const auto words = split(name, ',');
  for (const std::string_view word : words)
    if (words.size() > 1) (void)!::symlinkat(name.c_str(), directory, std::string(word).c_str());
  return {};
}

}  // namespace

Result<> mount_cgroup(const Site& site, const oci::Mount& mount, int target) {
  const std::vector<Hierarchy> hierarchies = v1_hierarchies(site.mountinfo);
  if (hierarchies.empty() || mount.type == "cgroup2") return mount_v2(site, mount, target);
  const std::string self = TRY(sys::read_file("/proc/self/cgroup", kMaxProcBytes));
  // Never writable without a namespace: release_agent is a program that the host's kernel starts (CVE-2022-0492).
  const bool read_only = (mount.options.flags & MS_RDONLY) != 0 || !site.cgroup_namespace;
  const UniqueFd directory = TRY(new_filesystem("tmpfs", "cgroup", "mode=755", 0));
  TRY(set_attributes(directory.get(), {.set = attributes_of(mount.options.flags & ~static_cast<std::uint64_t>(MS_RDONLY))}));
  TRY(attach(directory.get(), target));
  const UniqueFd inside = TRY(open_in_root(site.root, mount.destination));
  for (const Hierarchy& hierarchy : hierarchies) TRY(mount_v1_hierarchy(site, hierarchy, self, inside.get(), read_only));
  if ((mount.options.flags & MS_RDONLY) != 0) TRY(set_attributes(inside.get(), {.set = MOUNT_ATTR_RDONLY}));
  return {};
}

}  // namespace clawrun::container
