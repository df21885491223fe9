#include <linux/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "child/internal.h"

namespace clawrun::child {

namespace {

constexpr long kEexist = -17;
constexpr long kEinval = -22;
constexpr long kEnametoolong = -36;
constexpr long kEnodev = -19;
constexpr long kExdev = -18;
constexpr unsigned kRecursive = 0x8000;       // AT_RECURSIVE
constexpr std::uint32_t kNullDevice = 0x103;  // makedev(1, 3)

// linux/mount.h of Debian 12 has these; older headers of other distributions may not.
constexpr unsigned kOpenTreeClone = 1;
constexpr unsigned kFsconfigSetFlag = 0;
constexpr unsigned kFsconfigSetString = 1;
constexpr unsigned kFsconfigCmdCreate = 6;

class Builder {
 public:
  explicit Builder(const ChildPlan& plan) : plan_(plan) {}

  Root run() {
    for (std::uint32_t i = 0; i < plan_.operation_count; ++i) {
      const long result = take(plan_.operations[i]);
      if (result < 0) fail(plan_, Step::kOperation, result, i);
    }
    return {base_, covers_};
  }

 private:
  long take(const Operation& op) {
    switch (op.op) {
      case Op::kFilesystem:
        return filesystem(op);
      case Op::kBind:
        return bind(op);
      case Op::kEnter:
        return enter(op);
      case Op::kDevice:
        return device(op);
      case Op::kDirectory:
        return directory(op);
      case Op::kFile:
        return file(op);
      case Op::kSymlink:
        return symlink(op);
      case Op::kMask:
        return mask(op);
      case Op::kSelfBind:
        return self_bind(op);
      case Op::kAttributes:
        return attributes(op);
      case Op::kCover:
        return cover(op);
      case Op::kHostname:
        return sys(__NR_sethostname, op.source, length_of(op.source));
    }
    return kEinval;
  }

  int open_target(const Operation& op) const {
    return open_in_root(base_, op.target, {.has_openat2 = plan_.has_openat2, .no_follow = op.no_follow});
  }

  // Attaches a detached mount. The first one goes on top of the old root: no path of any process leads to it, since "/" is
  // resolved from the root that a process already holds.
  long attach(int mount, const Operation& op) {
    if (*op.target == '\0') {
      const long moved = sys(__NR_move_mount, mount, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH);
      if (moved < 0) return moved;
      return become_base(mount);
    }
    const int target = open_target(op);
    if (target < 0) return target;
    return move_onto(mount, target, op);
  }

  // Takes over `target`.
  long move_onto(int mount, int target, const Operation& op) {
    const long moved = sys(__NR_move_mount, mount, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH);
    sys(__NR_close, target);
    // What was looked up through this place before lies below the mount now.
    if (parent_ >= 0 && is_prefix(op.target, parent_path_)) forget_parent();
    return moved;
  }

  // Whether a directory lies on a file system that was made here. A link of a hostile root must not lead the making of a mount
  // point into a directory of the caller.
  bool is_ours(int directory) const {
    struct stat info {};
    if (sys(__NR_newfstatat, directory, "", &info, AT_EMPTY_PATH) < 0) return false;
    for (std::size_t i = 0; i < made_count_; ++i)
      if (made_[i] == info.st_dev) return true;
    return false;
  }

  long note_made(int mount) {
    struct stat info {};
    const long result = sys(__NR_newfstatat, mount, "", &info, AT_EMPTY_PATH);
    if (result >= 0 && made_count_ < sizeof made_ / sizeof *made_) made_[made_count_++] = info.st_dev;
    return result;
  }

  static bool is_prefix(const char* directory, const char* path) {
    while (*directory != '\0' && *directory == *path) {
      ++directory;
      ++path;
    }
    return *directory == '\0' && (*path == '\0' || *path == '/');
  }

  void forget_parent() {
    if (parent_ >= 0) sys(__NR_close, parent_);
    parent_ = -1;
  }

  // The directory of target's last part, which `name` is set to. Kept open from one operation to the next, since neighbours
  // share it: a third of all calls of a start were spent on walking to /dev and /etc again.
  int parent_of(const char* target, const char** name) {
    std::size_t size = 0;  // of the directory's path
    for (std::size_t i = 0; target[i] != '\0'; ++i)
      if (target[i] == '/') size = i;
    *name = target + (size == 0 ? 0 : size + 1);
    if (parent_ >= 0 && length_of(parent_path_) == size && is_prefix(parent_path_, target)) return parent_;
    forget_parent();
    if (size >= sizeof parent_path_) return static_cast<int>(kEnametoolong);
    for (std::size_t i = 0; i < size; ++i) parent_path_[i] = target[i];
    parent_path_[size] = '\0';
    parent_ = open_parent_in_root(base_, target, plan_.has_openat2, name);
    if (parent_ >= 0 && !is_ours(parent_)) {
      forget_parent();
      return static_cast<int>(kExdev);
    }
    return parent_;
  }

  long become_base(int directory) {
    const long opened = sys(__NR_openat, directory, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (opened < 0) return opened;
    forget_parent();
    if (base_ >= 0) sys(__NR_close, base_);
    base_ = static_cast<int>(opened);
    ++covers_;
    // Options of an overlay name its directories relative to the base.
    return sys(__NR_fchdir, base_);
  }

  long filesystem(const Operation& op) {
    const long context = sys(__NR_fsopen, op.source, FSOPEN_CLOEXEC);
    if (context < 0) return context;
    long result = 0;
    for (const char* const* option = op.options; result >= 0 && option != nullptr && *option != nullptr; option += 2) {
      const bool flag = *option[1] == '\0';
      result =
          sys(__NR_fsconfig, context, flag ? kFsconfigSetFlag : kFsconfigSetString, option[0], flag ? nullptr : option[1], 0);
    }
    if (result >= 0) result = sys(__NR_fsconfig, context, kFsconfigCmdCreate, nullptr, nullptr, 0);
    const long mount = result < 0 ? result : sys(__NR_fsmount, context, FSMOUNT_CLOEXEC, op.attr_set);
    sys(__NR_close, context);
    if (mount < 0) return mount;
    result = note_made(static_cast<int>(mount));
    if (result >= 0) result = attach(static_cast<int>(mount), op);
    sys(__NR_close, mount);
    return result;
  }

  // Always, whatever the attributes: a clone is a peer of what it was cloned from, and what is mounted on it would appear on
  // the host, or what the host mounts there in here, without our attributes: mount_namespaces(7)
  static long set_attributes(int mount, std::uint64_t attr_set, bool recursive) {
    mount_attr attr{};
    attr.attr_set = attr_set;
    // One access-time mode replaces another only when the whole field is cleared first: mount_setattr(2)
    if ((attr_set & MOUNT_ATTR__ATIME) != 0) attr.attr_clr = MOUNT_ATTR__ATIME;
    attr.propagation = 1U << 18U;  // MS_PRIVATE
    return sys(__NR_mount_setattr, mount, "", AT_EMPTY_PATH | (recursive ? kRecursive : 0), &attr, sizeof attr);
  }

  long bind(const Operation& op) {
    long mount = op.fd;
    if (mount < 0) {
      const unsigned flags = kOpenTreeClone | O_CLOEXEC | AT_NO_AUTOMOUNT | (op.recursive ? kRecursive : 0);
      mount = sys(__NR_open_tree, AT_FDCWD, op.source, flags);
    }
    if (mount < 0) return mount;
    long result = set_attributes(static_cast<int>(mount), op.attr_set, op.recursive);
    if (result >= 0) result = attach(static_cast<int>(mount), op);
    sys(__NR_close, mount);
    return result;
  }

  long enter(const Operation& op) {
    const int target = open_target(op);
    if (target < 0) return target;
    const long result = become_base(target);
    sys(__NR_close, target);
    return result;
  }

  // A clone of the host's device node as a mount, checked by number: a fake /dev/null never masks anything (CVE-2025-31133).
  static long open_device(const char* source, std::uint32_t number) {
    const long mount = sys(__NR_open_tree, AT_FDCWD, source, kOpenTreeClone | O_CLOEXEC);
    if (mount < 0) return mount;
    struct stat info {};
    const long answer = sys(__NR_newfstatat, mount, "", &info, AT_EMPTY_PATH);
    if (answer == 0 && S_ISCHR(info.st_mode) && info.st_rdev == makedev(number >> 8U, number & 255U)) return mount;
    sys(__NR_close, mount);
    return answer < 0 ? answer : kEnodev;
  }

  long device(const Operation& op) {
    const long mount = open_device(op.source, op.mode);
    if (mount < 0) return mount;
    long result = set_attributes(static_cast<int>(mount), op.attr_set, false);
    if (result >= 0) result = create_file(op, 0444);
    if (result >= 0) result = move_onto(static_cast<int>(mount), static_cast<int>(result), op);
    sys(__NR_close, mount);
    return result;
  }

  long directory(const Operation& op) {
    const char* name = nullptr;
    const int parent = parent_of(op.target, &name);
    if (parent < 0) return parent;
    const long result = sys(__NR_mkdirat, parent, name, op.mode);
    if (result != kEexist) return result;
    const int existing = open_target(op);
    if (existing < 0) return existing;
    const bool usable = is_directory(existing);
    sys(__NR_close, existing);
    return usable ? 0 : kEexist;
  }

  // A new file, open for writing; or -EEXIST, whatever is there.
  long create_file(const Operation& op, std::uint32_t mode) {
    const char* name = nullptr;
    const int parent = parent_of(op.target, &name);
    if (parent < 0) return parent;
    return sys(__NR_openat, parent, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
  }

  long file(const Operation& op) {
    const long fd = create_file(op, op.mode);
    if (fd == kEexist && op.data == nullptr) return 0;  // a mount point: what is there serves
    return fd < 0 ? fd : write_and_close(fd, op);
  }

  static long write_and_close(long fd, const Operation& op) {
    std::size_t done = 0;
    long result = 0;
    while (done < op.size && result >= 0) {
      result = sys(__NR_write, fd, op.data + done, op.size - done);
      if (result > 0) done += static_cast<std::size_t>(result);
    }
    sys(__NR_close, fd);
    return result < 0 ? result : 0;
  }

  // What is to be covered may be a file of a root that is never written to.
  long cover(const Operation& op) {
    const long mount = small_tmpfs("0755", 0);
    if (mount < 0) return mount;
    const long fd = sys(__NR_openat, mount, "file", O_WRONLY | O_CREAT | O_CLOEXEC, op.mode);
    long result = fd < 0 ? fd : write_and_close(fd, op);
    if (result >= 0) result = sys(__NR_open_tree, mount, "file", kOpenTreeClone | O_CLOEXEC);
    sys(__NR_close, mount);
    if (result < 0) return result;
    const int clone = static_cast<int>(result);
    result = set_attributes(clone, op.attr_set, false);
    if (result >= 0) result = attach(clone, op);
    sys(__NR_close, clone);
    return result;
  }

  long symlink(const Operation& op) {
    const char* name = nullptr;
    const int parent = parent_of(op.target, &name);
    if (parent < 0) return parent;
    return sys(__NR_symlinkat, op.source, parent, name);
  }

  static bool is_directory(int fd) {
    struct stat info {};
    return sys(__NR_newfstatat, fd, "", &info, AT_EMPTY_PATH) == 0 && S_ISDIR(info.st_mode);
  }

  // Of one page and one file.
  static long small_tmpfs(const char* mode, std::uint64_t attr_set) {
    const long context = sys(__NR_fsopen, "tmpfs", FSOPEN_CLOEXEC);
    if (context < 0) return context;
    long result = sys(__NR_fsconfig, context, kFsconfigSetString, "size", "4k", 0);
    if (result >= 0) result = sys(__NR_fsconfig, context, kFsconfigSetString, "nr_inodes", "2", 0);
    if (result >= 0) result = sys(__NR_fsconfig, context, kFsconfigSetString, "mode", mode, 0);
    if (result >= 0) result = sys(__NR_fsconfig, context, kFsconfigCmdCreate, nullptr, nullptr, 0);
    if (result >= 0) result = sys(__NR_fsmount, context, FSMOUNT_CLOEXEC, attr_set);
    sys(__NR_close, context);
    return result;
  }

  // One tmpfs serves all masked directories of this sandbox.
  long empty_directory() const {
    if (empty_ >= 0) return sys(__NR_open_tree, empty_, "", AT_EMPTY_PATH | kOpenTreeClone | O_CLOEXEC);
    return small_tmpfs("0555", MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
  }

  long mask(const Operation& op) {
    const int target = open_target(op);
    if (target == kEnoent) return 0;
    if (target < 0) return target;
    const bool is_dir = is_directory(target);
    const long cover = is_dir ? empty_directory() : open_device("/dev/null", kNullDevice);
    long result = cover;
    if (cover >= 0) {
      if (!is_dir)
        result = set_attributes(static_cast<int>(cover), MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, false);
      if (result >= 0) result = sys(__NR_move_mount, cover, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH);
      if (is_dir && empty_ < 0 && result >= 0)
        empty_ = static_cast<int>(cover);
      else
        sys(__NR_close, cover);
    }
    sys(__NR_close, target);
    return result;
  }

  long self_bind(const Operation& op) const {
    const int target = open_target(op);
    if (target == kEnoent) return 0;
    if (target < 0) return target;
    const long clone = sys(__NR_open_tree, target, "", AT_EMPTY_PATH | kOpenTreeClone | O_CLOEXEC | kRecursive);
    long result = clone;
    if (clone >= 0) {
      result = set_attributes(static_cast<int>(clone), op.attr_set, true);
      if (result >= 0) result = sys(__NR_move_mount, clone, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH);
      sys(__NR_close, clone);
    }
    sys(__NR_close, target);
    return result;
  }

  long attributes(const Operation& op) const {
    const int target = open_target(op);
    if (target < 0) return target;
    const long result = set_attributes(target, op.attr_set, op.recursive);
    sys(__NR_close, target);
    return result;
  }

  const ChildPlan& plan_;
  int base_ = -1;
  int covers_ = 0;
  int empty_ = -1;
  std::size_t made_count_ = 0;
  dev_t made_[600] = {};  // more than the 512 mounts that a specification may ask for
  int parent_ = -1;
  char parent_path_[4096] = {};
};

}  // namespace

Root build_root(const ChildPlan& plan) {
  return Builder(plan).run();
}

}  // namespace clawrun::child
