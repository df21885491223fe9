#include "container/root.h"

#include <fcntl.h>
#include <linux/mount.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/text.h"
#include "container/in_root.h"
#include "sys/sys.h"

namespace clawrun::container {

namespace {

constexpr std::size_t kMaxMountinfoBytes = std::size_t{16} << 20U;

std::uint64_t without_rec(std::uint64_t propagation) {
  return propagation & ~static_cast<std::uint64_t>(MS_REC);
}

Result<> set_host_propagation(std::uint64_t wanted) {
  const UniqueFd root = TRY(sys::open("/", O_PATH | O_DIRECTORY));
  const std::uint64_t propagation = wanted == 0 ? (MS_SLAVE | MS_REC) : wanted;
  // A shared or unbindable root of ours is still a slave of the host's while it is built.
  const std::uint64_t used = (propagation & (MS_SLAVE | MS_PRIVATE)) != 0 ? without_rec(propagation) : std::uint64_t{MS_SLAVE};
  return set_attributes(root.get(), {.propagation = used, .recursive = true});
}

Result<> read_only_tmpfs(const Site& site, const oci::Mount& mount) {
  const UniqueFd target = TRY(open_in_root(site.root, mount.destination));
  return set_attributes(target.get(), {.set = MOUNT_ATTR_RDONLY});
}

bool is_missing(const Error& error) {
  return error.errno_value == ENOENT || error.errno_value == ENOTDIR;
}

// A clone of the host's node, checked by its number.
Result<UniqueFd> clone_null_device() {
  UniqueFd fd(static_cast<int>(::syscall(SYS_open_tree, AT_FDCWD, "/dev/null", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC)));
  struct stat info {};
  if (!fd.valid() || ::fstat(fd.get(), &info) != 0) return fail_errno("opening the host's /dev/null");
  if (!S_ISCHR(info.st_mode) || info.st_rdev != makedev(1, 3))
    return fail(ErrorKind::kSystem, "the host's /dev/null is not the null device (1:3)");
  return fd;
}

Result<> mask(const Site& site, const std::string& path) {
  auto target = open_in_root(site.root, path);
  if (!target && is_missing(target.error())) return {};
  if (!target) return std::unexpected(std::move(target).error());
  struct stat info {};
  if (::fstat(target->get(), &info) != 0) return fail_errno("looking at it");
  UniqueFd cover;
  if (S_ISDIR(info.st_mode)) {
    cover = TRY(new_filesystem("tmpfs", "tmpfs", "size=4k,nr_inodes=2,mode=0755", MS_RDONLY));
    TRY(set_attributes(cover.get(), {.set = MOUNT_ATTR_RDONLY}));
  } else {
    cover = TRY(clone_null_device());
    // Or else the container's root gives the host's node another owner and mode.
    TRY(set_attributes(cover.get(), {.set = MOUNT_ATTR_RDONLY}));
  }
  return attach(cover.get(), target->get());
}

Result<> protect(const Site& site, const std::string& path) {
  auto target = open_in_root(site.root, path);
  if (!target && is_missing(target.error())) return {};
  if (!target) return std::unexpected(std::move(target).error());
  const UniqueFd clone(static_cast<int>(
      ::syscall(SYS_open_tree, target->get(), "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE)));
  if (!clone.valid()) return fail_errno("cloning the mount");
  TRY(set_attributes(clone.get(), {.set = MOUNT_ATTR_RDONLY}));
  return attach(clone.get(), target->get());
}

}  // namespace

Result<> prepare_root(Site& site, const oci::Config& config, const std::string& rootfs) {
  site.mountinfo = TRY(sys::read_file("/proc/self/mountinfo", kMaxMountinfoBytes));
  TRY(set_host_propagation(config.linux.rootfs_propagation));
  // A mount of its own, on its own place: pivot_root(2) wants one, and its flags then concern nobody else.
  const UniqueFd tree(
      static_cast<int>(::syscall(SYS_open_tree, AT_FDCWD, rootfs.c_str(), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE)));
  if (!tree.valid()) return fail_errno("opening the root " + quoted(rootfs));
  // The mount that it is attached to must not carry it to anybody else.
  TRY(set_attributes(tree.get(), {.propagation = MS_PRIVATE}));
  const UniqueFd place = TRY(sys::open(rootfs, O_PATH | O_DIRECTORY));
  TRY(attach(tree.get(), place.get()));
  site.root = ::openat(tree.get(), ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (site.root < 0) return fail_errno("opening the root " + quoted(rootfs));
  return {};
}

Result<> fill_root(const Site& site, const oci::Config& config) {
  for (std::size_t i = 0; i < config.mounts.size(); ++i) TRY(mount_entry(site, config.mounts[i], i));
  TRY(make_devices(site, config));
  for (const oci::Mount& mount : config.mounts)
    if (mount.type == "tmpfs" && !is_bind(mount) && (mount.options.flags & MS_RDONLY) != 0) TRY(read_only_tmpfs(site, mount));
  return {};
}

Result<> switch_root(const Site& site, RootSwitch how) {
  const UniqueFd old_root = TRY(sys::open("/", O_RDONLY | O_DIRECTORY));
  if (::fchdir(site.root) != 0) return fail_errno("entering the new root");
  if (how == RootSwitch::kPivot) {
    // The old root comes to lie over the new one, and is taken off: no directory for it is needed.
    if (::syscall(SYS_pivot_root, ".", ".") != 0) return fail_errno("pivot_root");
    if (::fchdir(old_root.get()) != 0) return fail_errno("entering the old root");
    if (::mount("", ".", nullptr, MS_SLAVE | MS_REC, nullptr) != 0) return fail_errno("making the old root a slave");
    if (::umount2(".", MNT_DETACH) != 0) return fail_errno("detaching the old root");
  } else {
    if (how == RootSwitch::kMove && ::mount(".", "/", nullptr, MS_MOVE, nullptr) != 0) return fail_errno("moving the root");
    if (::chroot(".") != 0) return fail_errno("chroot");
  }
  if (::chdir("/") != 0) return fail_errno("entering the new root");
  struct stat root {};
  struct stat above {};
  if (::stat("/", &root) != 0 || ::stat("/..", &above) != 0) return fail_errno("looking at the new root");
  if (root.st_dev != above.st_dev || root.st_ino != above.st_ino)
    return fail(ErrorKind::kInternal, "the host's root can be reached from the new one");
  return {};
}

Result<> cover_paths(const Site& site, const oci::Config& config) {
  for (const std::string& path : config.linux.readonly_paths)
    if (auto done = protect(site, path); !done) return while_doing("making " + quoted(path) + " read-only", done.error());
  for (const std::string& path : config.linux.masked_paths)
    if (auto done = mask(site, path); !done) return while_doing("masking " + quoted(path), done.error());
  return {};
}

Result<> close_root(const oci::Config& config) {
  const UniqueFd root = TRY(sys::open("/", O_PATH | O_DIRECTORY));
  if (config.linux.rootfs_propagation != 0)
    TRY(set_attributes(root.get(), {.propagation = without_rec(config.linux.rootfs_propagation),
                                    .recursive = (config.linux.rootfs_propagation & MS_REC) != 0}));
  if (config.root.readonly) TRY(set_attributes(root.get(), {.set = MOUNT_ATTR_RDONLY}));
  return {};
}

}  // namespace clawrun::container
