#include <fcntl.h>
#include <linux/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>

#include "base/text.h"
#include "container/in_root.h"
#include "container/root.h"

namespace clawrun::container {

namespace {

// runtime-spec config-linux.md, "Default Devices". /dev/console is the terminal's, /dev/ptmx a link.
const std::vector<oci::Device>& default_devices() {
  static const std::vector<oci::Device> kDevices = [] {
    const auto device = [](const char* path, std::uint32_t major, std::uint32_t minor) {
      oci::Device made;
      made.path = path;
      made.major = major;
      made.minor = minor;
      made.file_mode = 0666;
      return made;
    };
    return std::vector<oci::Device>{device("/dev/null", 1, 3), device("/dev/random", 1, 8), device("/dev/full", 1, 7),
                                    device("/dev/tty", 5, 0),  device("/dev/zero", 1, 5),   device("/dev/urandom", 1, 9)};
  }();
  return kDevices;
}

struct LinkRow {
  const char* name;
  const char* text;
};

constexpr LinkRow kLinks[] = {{"/dev/fd", "/proc/self/fd"},
                              {"/dev/stdin", "/proc/self/fd/0"},
                              {"/dev/stdout", "/proc/self/fd/1"},
                              {"/dev/stderr", "/proc/self/fd/2"}};

mode_t type_of(const oci::Device& device) {
  return device.type == 'b' ? S_IFBLK : device.type == 'p' ? S_IFIFO : S_IFCHR;
}

// Where mknod(2) is refused, as in every user namespace: the host's own node of that number.
Result<> bind_device(const Site& site, const oci::Device& device) {
  const UniqueFd tree(
      static_cast<int>(::syscall(SYS_open_tree, AT_FDCWD, device.path.c_str(), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC)));
  if (!tree.valid()) return fail_errno("opening the host's " + device.path);
  struct stat info {};
  if (::fstat(tree.get(), &info) != 0) return fail_errno("looking at the host's " + device.path);
  if ((info.st_mode & S_IFMT) != type_of(device) || info.st_rdev != makedev(device.major, device.minor))
    return fail(ErrorKind::kInvalid, "the host's " + device.path + " is another device");
  const UniqueFd target = TRY(make_file_in_root(site.root, device.path));
  return attach(tree.get(), target.get());
}

Result<> make_device(const Site& site, const oci::Device& device) {
  std::string name;
  const UniqueFd parent = TRY(open_parent_in_root(site.root, device.path, name));
  if (site.user_namespace) return bind_device(site, device);
  const mode_t mode = type_of(device) | device.file_mode.value_or(0666);
  const dev_t number = makedev(device.major, device.minor);
  if (::mknodat(parent.get(), name.c_str(), mode, number) != 0) {
    if (errno == EPERM) return bind_device(site, device);
    struct stat info {};
    if (errno != EEXIST || ::fstatat(parent.get(), name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) return fail_errno("mknod");
    // What the image or a mount has put there serves where it is the very device.
    if ((info.st_mode & S_IFMT) != type_of(device) || info.st_rdev != number)
      return fail(ErrorKind::kInvalid, "something else is there already");
    return {};  // with its owner and mode: it may be the host's own node, bound there
  }
  // The node itself, never what somebody puts in its place: no path is walked again.
  const UniqueFd node(::openat(parent.get(), name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  if (!node.valid()) return fail_errno("opening the node");
  if (::fchmodat(AT_FDCWD, path_of(node.get()).c_str(), mode & 07777U, 0) != 0) return fail_errno("chmod");
  if (::fchownat(node.get(), "", device.uid.value_or(0), device.gid.value_or(0), AT_EMPTY_PATH) != 0) return fail_errno("chown");
  return {};
}

bool same_place(const oci::Device& device, const std::string& path) {
  return device.path == path;
}

Result<> make_link(const Site& site, const char* path, const char* text) {
  std::string name;
  const UniqueFd parent = TRY(open_parent_in_root(site.root, path, name));
  if (::symlinkat(text, parent.get(), name.c_str()) != 0 && errno != EEXIST)
    return fail_errno("making the link " + std::string(path));
  return {};
}

// Where /dev is the caller's own directory, bound in, everything in it is the caller's too.
bool dev_is_bound(const oci::Config& config) {
  return std::ranges::any_of(config.mounts, [](const oci::Mount& mount) {
    std::string destination = mount.destination;
    while (destination.size() > 1 && destination.ends_with('/')) destination.pop_back();
    return destination == "/dev" && is_bind(mount);
  });
}

}  // namespace

Result<> make_devices(const Site& site, const oci::Config& config) {
  if (dev_is_bound(config)) return {};
  for (const oci::Device& device : default_devices()) {
    if (std::ranges::any_of(config.linux.devices, [&](const oci::Device& own) { return same_place(own, device.path); })) continue;
    if (auto made = make_device(site, device); !made) return while_doing("creating device " + quoted(device.path), made.error());
  }
  for (const oci::Device& device : config.linux.devices) {
    if (device.path == "/dev/ptmx") continue;  // the link below
    if (auto made = make_device(site, device); !made) return while_doing("creating device " + quoted(device.path), made.error());
  }
  for (const LinkRow& link : kLinks) TRY(make_link(site, link.name, link.text));
  // That of the container's own devpts: an image's /dev/ptmx would be the host's.
  std::string name;
  const UniqueFd dev = TRY(open_parent_in_root(site.root, "/dev/ptmx", name));
  (void)!::unlinkat(dev.get(), "ptmx", 0);
  return make_link(site, "/dev/ptmx", "pts/ptmx");
}

}  // namespace clawrun::container
