#include "container/mount.h"

#include <fcntl.h>
#include <linux/mount.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <optional>

#include "base/text.h"
#include "container/in_root.h"

#ifndef MS_NOSYMFOLLOW
#define MS_NOSYMFOLLOW 256
#endif

namespace clawrun::container {

namespace {

constexpr std::uint64_t kAttrNoSymFollow = 0x200000;
constexpr std::uint64_t kAtimeFlags = MS_NOATIME | MS_RELATIME | MS_STRICTATIME;
constexpr std::uint64_t kMountFlags = MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NODIRATIME | MS_NOSYMFOLLOW | kAtimeFlags;
constexpr std::size_t kLongestFsconfig = 255;  // fsconfig(2): longer strings are refused
constexpr long kProcMagic = 0x9fa0;

struct FlagRow {
  std::uint64_t ms;
  std::uint64_t attr;
};

constexpr FlagRow kFlagRows[] = {{MS_RDONLY, MOUNT_ATTR_RDONLY},         {MS_NOSUID, MOUNT_ATTR_NOSUID},
                                 {MS_NODEV, MOUNT_ATTR_NODEV},           {MS_NOEXEC, MOUNT_ATTR_NOEXEC},
                                 {MS_NODIRATIME, MOUNT_ATTR_NODIRATIME}, {MS_NOSYMFOLLOW, kAttrNoSymFollow},
                                 {MS_NOATIME, MOUNT_ATTR_NOATIME},       {MS_STRICTATIME, MOUNT_ATTR_STRICTATIME}};

struct SuperRow {
  std::uint64_t ms;
  const char* word;
};

constexpr SuperRow kSuperRows[] = {{MS_RDONLY, "ro"},         {MS_SYNCHRONOUS, "sync"}, {MS_DIRSYNC, "dirsync"},
                                   {MS_LAZYTIME, "lazytime"}, {MS_MANDLOCK, "mand"},    {MS_SILENT, "silent"}};

// These are made by fsopen(2); whatever else there is (overlay, nfs, …) takes the words that mount(2) gives it.
constexpr std::string_view kOwnKinds[] = {"tmpfs", "proc", "sysfs", "devpts", "mqueue", "cgroup", "cgroup2"};

bool has_option(const std::string& data, std::string_view key) {
  const auto words = split(data, ',');
  return std::ranges::any_of(words, [&](std::string_view word) { return word.starts_with(key); });
}

Result<> configure(int context, const char* key, const std::string& value) {
  const long result = value.empty() ? ::syscall(SYS_fsconfig, context, 0 /* SET_FLAG */, key, nullptr, 0)
                                    : ::syscall(SYS_fsconfig, context, 1 /* SET_STRING */, key, value.c_str(), 0);
  if (result != 0) return fail_errno("the option " + quoted(value.empty() ? key : std::string(key) + "=" + value));
  return {};
}

// /proc may only be covered below by what the specification's users do cover; elsewhere a mount there would have the runtime, or
// a later process of the container, write to a false file (CVE-2019-16884, CVE-2019-19921).
Result<> check_proc(const Site& site, const oci::Mount& mount, int target) {
  static constexpr std::string_view kAllowed[] = {"/proc/cpuinfo",
                                                  "/proc/diskstats",
                                                  "/proc/meminfo",
                                                  "/proc/stat",
                                                  "/proc/swaps",
                                                  "/proc/uptime",
                                                  "/proc/loadavg",
                                                  "/proc/slabinfo",
                                                  "/proc/net/dev",
                                                  "/proc/sys/kernel/ns_last_pid",
                                                  "/proc/sys/crypto/fips_enabled"};
  char text[4096];
  const ssize_t size = ::readlink(path_of(target).c_str(), text, sizeof text);
  char base[4096];
  const ssize_t base_size = ::readlink(path_of(site.root).c_str(), base, sizeof base);
  if (size < 0 || base_size < 0) return fail_errno("reading where a mount goes");
  std::string inside(text, static_cast<std::size_t>(size));
  const std::string root(base, static_cast<std::size_t>(base_size));
  if (root != "/" && inside.starts_with(root)) inside.erase(0, root.size());
  if (inside != "/proc" && !inside.starts_with("/proc/")) return {};
  if (inside == "/proc" && mount.type == "proc") return {};
  if (inside == "/proc" && is_bind(mount)) {
    struct statfs info {};
    if (::statfs(bind_source(mount, site.bundle).c_str(), &info) == 0 && info.f_type == kProcMagic) return {};
  }
  if (std::ranges::find(kAllowed, inside) != std::end(kAllowed)) return {};
  return fail(ErrorKind::kInvalid, quoted(mount.destination) + " cannot be mounted because it is inside /proc");
}

Result<UniqueFd> open_target(const Site& site, const oci::Mount& mount, bool directory) {
  const bool own_place = mount.type == "proc" || mount.type == "sysfs";
  if (own_place || mount.options.destination_nofollow) {
    // No link in the place of /proc or /sys: CVE-2019-18837
    auto found = open_in_root(site.root, mount.destination, LastLink::kRefuse);
    if (!found && found.error().errno_value == ELOOP)
      return fail(ErrorKind::kInvalid,
                  quoted(mount.destination) + " is a symbolic link, and must be a directory for " + mount.type);
    // That which was looked at: walked to again, it may be a link by then.
    struct stat info {};
    if (found && own_place && ::fstat(found->get(), &info) == 0 && S_ISDIR(info.st_mode)) return found;
  }
  return directory ? make_directory_in_root(site.root, mount.destination) : make_file_in_root(site.root, mount.destination);
}

// A bind mount keeps what its source's mount has, unless words of the list say otherwise; where some do, the kernel's remount,
// and so runc and crun, take the list for the whole truth. Flags that are locked here stay: mount_namespaces(7).
Result<> bind_attributes(int fd, const oci::MountOptions& options) {
  const std::uint64_t wanted = options.flags & kMountFlags;
  if (wanted == 0 && (options.cleared_flags & kMountFlags) == 0) return {};
  Attributes attributes{.set = attributes_of(wanted)};
  attributes.clear = (MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC) & ~attributes.set;
  if ((wanted & kAtimeFlags) != 0) attributes.clear |= MOUNT_ATTR__ATIME;
  auto changed = set_attributes(fd, attributes);
  if (changed || changed.error().errno_value != EPERM) return changed;
  // Without taking anything away that nobody named.
  attributes.clear = attributes_of(options.cleared_flags & kMountFlags);
  if ((wanted & kAtimeFlags) != 0) attributes.clear |= MOUNT_ATTR__ATIME;
  return set_attributes(fd, attributes);
}

Result<> recursive_attributes(int fd, const oci::MountOptions& options) {
  if (options.recursive_set == 0 && options.recursive_clear == 0) return {};
  return set_attributes(fd, {.set = options.recursive_set, .clear = options.recursive_clear, .recursive = true});
}

Result<> set_propagation(int fd, std::uint64_t propagation) {
  if (propagation == 0) return {};
  return set_attributes(
      fd, {.propagation = propagation & ~static_cast<std::uint64_t>(MS_REC), .recursive = (propagation & MS_REC) != 0});
}

// crun's "copy-symlink": the link itself, not what it leads to.
Result<bool> copy_symlink(const Site& site, const oci::Mount& mount) {
  if (!mount.options.copy_symlink) return false;
  const std::string source = bind_source(mount, site.bundle);
  char text[4096];
  const ssize_t size = ::readlink(source.c_str(), text, sizeof text - 1);
  if (size < 0) return false;
  text[size] = '\0';
  std::string name;
  const UniqueFd parent = TRY(open_parent_in_root(site.root, mount.destination, name));
  if (::symlinkat(text, parent.get(), name.c_str()) == 0) return true;
  if (errno != EEXIST) return fail_errno("making the link " + quoted(mount.destination));
  char there[4096];
  const ssize_t there_size = ::readlinkat(parent.get(), name.c_str(), there, sizeof there);
  if (there_size == size && std::equal(text, text + size, there)) return true;
  return fail(ErrorKind::kInvalid,
              quoted(mount.destination) + " is there already and is another file than the link of copy-symlink");
}

Result<> mount_bind(const Site& site, const oci::Mount& mount, std::size_t index) {
  const bool is_copied = TRY(copy_symlink(site, mount));
  if (is_copied) return {};
  UniqueFd own;
  int tree = -1;
  if (const auto opened = site.opened.find(index); opened != site.opened.end()) {
    tree = opened->second.get();
  } else {
    own = TRY(open_bind_source(mount, site.bundle));
    tree = own.get();
  }
  struct stat info {};
  if (::fstat(tree, &info) != 0) return fail_errno("looking at " + quoted(mount.source));
  const UniqueFd target = TRY(open_target(site, mount, S_ISDIR(info.st_mode)));
  TRY(check_proc(site, mount, target.get()));
  TRY(bind_attributes(tree, mount.options));
  TRY(recursive_attributes(tree, mount.options));
  TRY(attach(tree, target.get()));
  return set_propagation(tree, mount.options.propagation);
}

// What mount(2) knows and fsopen(2) does not take from us: the words go to the file system as they are.
Result<> mount_by_words(const oci::Mount& mount, const std::string& data, int target) {
  const std::uint64_t flags = mount.options.flags & ~static_cast<std::uint64_t>(MS_REC | MS_BIND);
  if (::mount(mount.source.c_str(), path_of(target).c_str(), mount.type.c_str(), flags, data.c_str()) != 0)
    return fail_errno("mount(2)");
  return {};
}

Result<> remount(const Site& site, const oci::Mount& mount) {
  const UniqueFd target = TRY(open_in_root(site.root, mount.destination));
  if ((mount.options.flags & MS_BIND) != 0) {
    TRY(bind_attributes(target.get(), mount.options));
  } else if (::mount("", path_of(target.get()).c_str(), nullptr, mount.options.flags, mount.options.data.c_str()) != 0) {
    return fail_errno("mount(2) with MS_REMOUNT");
  }
  TRY(recursive_attributes(target.get(), mount.options));
  return set_propagation(target.get(), mount.options.propagation);
}

Result<> mount_filesystem(const Site& site, const oci::Mount& mount) {
  const bool is_tmpfs = mount.type == "tmpfs";
  // The mode of a directory that is covered, where no other is asked for, as runc and crun have it.
  std::optional<mode_t> mode;
  struct stat info {};
  if (is_tmpfs && !has_option(mount.options.data, "mode="))
    if (const auto there = open_in_root(site.root, mount.destination); there && ::fstat(there->get(), &info) == 0)
      mode = info.st_mode & 07777U;
  const UniqueFd target = TRY(open_target(site, mount, true));
  TRY(check_proc(site, mount, target.get()));
  if (mount.type == "cgroup" || mount.type == "cgroup2") return mount_cgroup(site, mount, target.get());
  std::string data = mount.options.data;
  if (!site.mount_label.empty() && mount.type != "proc" && mount.type != "sysfs")
    data += (data.empty() ? "" : ",") + (site.mount_context + "=\"" + site.mount_label + "\"");
  if (std::ranges::find(kOwnKinds, mount.type) == std::end(kOwnKinds)) {
    TRY(mount_by_words(mount, data, target.get()));
    const UniqueFd top = TRY(open_in_root(site.root, mount.destination));
    TRY(recursive_attributes(top.get(), mount.options));
    return set_propagation(top.get(), mount.options.propagation);
  }
  // A tmpfs is filled, and gets devices, before it becomes read-only as a mount; root.cc ends what is left writable.
  std::uint64_t flags = mount.options.flags;
  if (is_tmpfs) flags &= ~static_cast<std::uint64_t>(MS_RDONLY);
  const std::uint64_t locked = attributes_of(flags & (MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC));
  const UniqueFd fresh = TRY(new_filesystem(mount.type, mount.source.empty() ? mount.type : mount.source, data, flags, locked));
  TRY(set_attributes(fresh.get(), {.set = attributes_of(flags & kMountFlags),
                                   .clear = (flags & kAtimeFlags) != 0 ? std::uint64_t{MOUNT_ATTR__ATIME} : 0}));
  if (mode && ::fchmodat(fresh.get(), ".", *mode, 0) != 0) return fail_errno("chmod");
  if (mount.options.tmpcopyup) {
    const UniqueFd below = TRY(open_in_root(site.root, mount.destination));
    struct stat asked {};
    if (::fstat(fresh.get(), &asked) != 0) return fail_errno("stat");
    if (auto copied = copy_up(below.get(), fresh.get()); !copied) return while_doing("tmpcopyup", copied.error());
    // Of the directory itself, what the options say goes before what lies below.
    const uid_t uid = has_option(data, "uid=") ? asked.st_uid : static_cast<uid_t>(-1);
    const gid_t gid = has_option(data, "gid=") ? asked.st_gid : static_cast<gid_t>(-1);
    if (::fchownat(fresh.get(), ".", uid, gid, 0) != 0) return fail_errno("chown");
    if (has_option(data, "mode=") && ::fchmodat(fresh.get(), ".", asked.st_mode & 07777U, 0) != 0) return fail_errno("chmod");
  }
  TRY(recursive_attributes(fresh.get(), mount.options));
  TRY(attach(fresh.get(), target.get()));
  return set_propagation(fresh.get(), mount.options.propagation);
}

}  // namespace

std::uint64_t attributes_of(std::uint64_t flags) {
  std::uint64_t attributes = 0;
  for (const FlagRow& row : kFlagRows)
    if ((flags & row.ms) != 0) attributes |= row.attr;
  return attributes;
}

bool is_bind(const oci::Mount& mount) {
  return mount.type == "bind" || (mount.options.flags & MS_BIND) != 0;
}

std::string bind_source(const oci::Mount& mount, const std::string& bundle) {
  return mount.source.starts_with('/') ? mount.source : bundle + "/" + mount.source;
}

Result<UniqueFd> open_bind_source(const oci::Mount& mount, const std::string& bundle) {
  const std::string source = bind_source(mount, bundle);
  unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_NO_AUTOMOUNT;
  if ((mount.options.flags & MS_REC) != 0) flags |= AT_RECURSIVE;
  if (mount.options.source_nofollow) flags |= AT_SYMLINK_NOFOLLOW;
  UniqueFd tree(static_cast<int>(::syscall(SYS_open_tree, AT_FDCWD, source.c_str(), flags)));
  if (!tree.valid()) return fail_errno("opening the source " + quoted(source));
  return tree;
}

Result<> attach(int mount, int target) {
  if (::syscall(SYS_move_mount, mount, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) != 0)
    return fail_errno("attaching the mount");
  return {};
}

Result<> set_attributes(int fd, const Attributes& attributes) {
  mount_attr attr{};
  attr.attr_set = attributes.set;
  attr.attr_clr = attributes.clear;
  attr.propagation = attributes.propagation;
  const unsigned flags = AT_EMPTY_PATH | (attributes.recursive ? AT_RECURSIVE : 0);
  if (::syscall(SYS_mount_setattr, fd, "", flags, &attr, sizeof attr) != 0) return fail_errno("changing the mount's attributes");
  return {};
}

Result<UniqueFd> new_filesystem(const std::string& type, const std::string& source, const std::string& data, std::uint64_t flags,
                                std::uint64_t attributes) {
  const UniqueFd context(static_cast<int>(::syscall(SYS_fsopen, type.c_str(), FSOPEN_CLOEXEC)));
  if (!context.valid()) return fail_errno("the kernel has no file system " + quoted(type));
  TRY(configure(context.get(), "source", source));
  for (const SuperRow& row : kSuperRows)
    if ((flags & row.ms) != 0) TRY(configure(context.get(), row.word, ""));
  for (const std::string_view word : split(data, ',')) {
    if (word.empty()) continue;
    const std::size_t equals = word.find('=');
    std::string value(equals == std::string_view::npos ? "" : word.substr(equals + 1));
    if (value.size() >= 2 && value.front() == '"' && value.back() == '"') value = value.substr(1, value.size() - 2);
    if (value.size() > kLongestFsconfig)
      return fail(ErrorKind::kInvalid, "the option " + quoted(std::string(word)) + " is longer than the kernel takes");
    // devpts is new always; the word is from before Linux 4.7.
    if (type == "devpts" && word == "newinstance") continue;
    TRY(configure(context.get(), std::string(word.substr(0, equals)).c_str(), value));
  }
  if (::syscall(SYS_fsconfig, context.get(), 6 /* CMD_CREATE */, nullptr, nullptr, 0) != 0) return fail_errno("making a " + type);
  UniqueFd mount(static_cast<int>(::syscall(SYS_fsmount, context.get(), FSMOUNT_CLOEXEC, attributes)));
  if (!mount.valid()) return fail_errno("making a " + type);
  return mount;
}

Result<> mount_entry(const Site& site, const oci::Mount& mount, std::size_t index) {
  const auto made = (mount.options.flags & MS_REMOUNT) != 0 ? remount(site, mount)
                    : is_bind(mount)                        ? mount_bind(site, mount, index)
                                                            : mount_filesystem(site, mount);
  if (made) return {};
  Error error = made.error();
  // runc's words, which engines and people look for.
  error.message = "error mounting " + quoted(mount.source) + " to rootfs at " + quoted(mount.destination) + ": " + error.message;
  return Failure(std::move(error));
}

}  // namespace clawrun::container
