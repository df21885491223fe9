#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <memory>

#include "base/text.h"
#include "base/unique_fd.h"
#include "rootfs/entry.h"
#include "rootfs/store.h"

namespace clawrun::rootfs {

namespace {

// Names of what is being removed begin with this; rootfs-scripts/lib.sh clears them away as well.
constexpr std::string_view kDoomed = ".rm-";
// Deeper directories are moved up, so that a hostile tree costs neither descriptors nor stack without end.
constexpr int kDeepest = 64;

using Directory = std::unique_ptr<DIR, decltype([](DIR* dir) { ::closedir(dir); })>;

struct MountIdentity {
  std::uint64_t device = 0;
  std::uint64_t mount = 0;  // 0 before Linux 5.8
  bool operator==(const MountIdentity&) const = default;
};

Result<MountIdentity> mount_of(int fd) {
  struct statx status = {};
  if (::statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_MNT_ID, &status) != 0) return fail_errno("statx");
  return MountIdentity{.device = (std::uint64_t{status.stx_dev_major} << 32U) | status.stx_dev_minor,
                       .mount = (status.stx_mask & STATX_MNT_ID) != 0 ? status.stx_mnt_id : 0};
}

bool is_dot(std::string_view name) {
  return name == "." || name == "..";
}

// Removes one tree below an open directory: never through a symbolic link, never into another mount.
class Remover {
 public:
  Remover(int store_fd, std::string doomed) : store_fd_(store_fd), doomed_(std::move(doomed)) {}

  Result<> remove_all() {
    UniqueFd top = TRY(open_directory(store_fd_, doomed_.c_str()));
    mount_ = TRY(mount_of(top.get()));
    // What lies too deep was moved to the top on the way: one more round for each time that this happened.
    do {
      moved_up_ = false;
      UniqueFd round = TRY(open_directory(store_fd_, doomed_.c_str()));
      TRY(empty(std::move(round), top.get(), 0));
    } while (moved_up_);
    if (::unlinkat(store_fd_, doomed_.c_str(), AT_REMOVEDIR) != 0 && errno != ENOENT) return fail_errno("removing " + doomed_);
    return {};
  }

 private:
  // A directory without the owner's permissions is given them first: images have such, and only root may ignore them.
  static Result<UniqueFd> open_directory(int parent, const char* name) {
    constexpr int kFlags = O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    UniqueFd fd(::openat(parent, name, O_RDONLY | kFlags));
    if (fd.valid() && ::faccessat(fd.get(), ".", W_OK | X_OK, AT_EACCESS) == 0) return fd;
    if (!fd.valid() && errno != EACCES) return fail_errno("opening " + quoted(name));
    const UniqueFd handle(::openat(parent, name, O_PATH | kFlags));
    if (!handle.valid()) return fail_errno("opening " + quoted(name));
    // fchmod(2) refuses an O_PATH descriptor; its name in /proc stands for the same directory whatever `name` is by now.
    const std::string self = "/proc/self/fd/" + std::to_string(handle.get());
    if (::chmod(self.c_str(), S_IRWXU) != 0) return fail_errno("making " + quoted(name) + " removable");
    fd.reset(::openat(parent, name, O_RDONLY | kFlags));
    if (!fd.valid()) return fail_errno("opening " + quoted(name));
    return fd;
  }

  Result<> empty(UniqueFd fd, int top, int depth) {
    const int raw = fd.get();
    const Directory directory(::fdopendir(raw));
    if (!directory) return fail_errno("reading a directory of " + doomed_);
    static_cast<void>(fd.release());
    while (const dirent* entry = ::readdir(directory.get())) {
      if (is_dot(entry->d_name)) continue;
      if (::unlinkat(raw, entry->d_name, 0) == 0 || errno == ENOENT) continue;
      if (errno != EISDIR) return fail_errno("removing " + quoted(entry->d_name) + " in " + doomed_);
      TRY(remove_directory(raw, entry->d_name, top, depth));
    }
    return {};
  }

  Result<> remove_directory(int parent, const char* name, int top, int depth) {
    if (::unlinkat(parent, name, AT_REMOVEDIR) == 0 || errno == ENOENT) return {};
    auto child = open_directory(parent, name);
    if (!child) return child.error().errno_value == ENOENT ? Result<>() : Result<>(Failure(std::move(child).error()));
    const MountIdentity mount = TRY(mount_of(child->get()));
    if (mount != mount_)
      return fail(ErrorKind::kInvalid, quoted(name) + " in " + doomed_ + " is a mount point: unmount it, then remove again");
    if (depth == kDeepest) {
      moved_up_ = true;
      return move_up(parent, name, top);
    }
    TRY(empty(std::move(*child), top, depth + 1));
    if (::unlinkat(parent, name, AT_REMOVEDIR) != 0 && errno != ENOENT)
      return fail_errno("removing " + quoted(name) + " in " + doomed_);
    return {};
  }

  Result<> move_up(int parent, const char* name, int top) {
    // The tree itself may have names such as ours: the next number then.
    while (::renameat2(parent, name, top, ("deep-" + std::to_string(counter_++)).c_str(), RENAME_NOREPLACE) != 0)
      if (errno != EEXIST) return fail_errno("moving the deep directory " + quoted(name) + " up");
    return {};
  }

  int store_fd_;
  std::string doomed_;
  MountIdentity mount_;
  bool moved_up_ = false;
  std::uint64_t counter_ = 0;
};

// The scripts hold the same lock while they put a root into the store.
Result<UniqueFd> lock_store(int store_fd) {
  UniqueFd lock(::openat(store_fd, ".lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644));
  if (!lock.valid()) return fail_errno("opening its lock file, which only the owner of the store can");
  while (::flock(lock.get(), LOCK_EX) != 0)
    if (errno != EINTR) return fail_errno("locking the store");
  return lock;
}

Result<> remove_doomed(int store_fd) {
  const int copy = ::openat(store_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (copy < 0) return fail_errno("reading the store");
  const Directory directory(::fdopendir(copy));
  if (!directory) return fail_errno("reading the store");
  while (const dirent* entry = ::readdir(directory.get())) {
    if (!std::string_view(entry->d_name).starts_with(kDoomed)) continue;
    TRY(Remover(store_fd, entry->d_name).remove_all());
  }
  return {};
}

Result<> remove_from(const std::string& store, const std::string& name, bool is_link) {
  const UniqueFd store_fd(::open(store.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!store_fd.valid()) return fail_errno("opening " + shown(store));
  const UniqueFd lock = TRY(lock_store(store_fd.get()));
  if (is_link) {
    if (::unlinkat(store_fd.get(), name.c_str(), 0) != 0) return fail_errno("removing " + shown(store + "/" + name));
    return {};
  }
  const std::string doomed = std::string(kDoomed) + std::to_string(::getpid()) + "-" + name;
  // The root before its metadata: killed in between, metadata alone is left, which the scripts clear away.
  if (::renameat2(store_fd.get(), name.c_str(), store_fd.get(), doomed.c_str(), RENAME_NOREPLACE) != 0)
    return fail_errno("removing " + shown(store + "/" + name));
  ::unlinkat(store_fd.get(), (name + ".meta").c_str(), 0);
  return remove_doomed(store_fd.get());
}

}  // namespace

Result<> remove(std::string_view name, const Stores& stores) {
  if (is_name(name)) {
    for (const std::string& store : stores) {
      const std::optional<internal::Entry> entry = TRY(internal::look_up(store, std::string(name)));
      if (!entry) continue;
      if (auto done = remove_from(store, std::string(name), !entry->link_name.empty()); !done)
        return while_doing("store " + shown(store), std::move(done).error());
      return {};
    }
  }
  TRY(find(name, stores));
  return fail(ErrorKind::kInvalid, "root filesystem " + quoted(name) + " went away meanwhile");
}

}  // namespace clawrun::rootfs
