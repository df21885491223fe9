#include "state/container.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <ranges>

#include "base/text.h"
#include "cgroup/container_place.h"
#include "cgroup/files.h"
#include "oci/config.h"
#include "state/container_record.h"
#include "sys/sys.h"

namespace clawrun::state {

namespace {

constexpr const char* kState = "state.json";
constexpr const char* kConfig = "config.json";
constexpr const char* kGate = "gate";
constexpr const char* kReport = "report";
constexpr const char* kNew = ".new";  // what is written before it is renamed

constexpr mode_t kFileMode = 0600;
// Of the root the sticky bit too: systemd-tmpfiles then leaves it alone in $XDG_RUNTIME_DIR (XDG base directories).
constexpr mode_t kRootMode = 01700;
constexpr int kMaxDepth = 32;
constexpr int kCreateTries = 100;

UniqueFd open_at(int directory, const char* name, int flags, mode_t mode = 0) {
  UniqueFd fd(::openat(directory, name, flags | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, mode));
  // Standard streams that the caller has closed must stay closed, or a container would inherit this.
  if (fd.valid() && fd.get() <= 2) return UniqueFd(::fcntl(fd.get(), F_DUPFD_CLOEXEC, 3));
  return fd;
}

Failure not_there() {
  return fail(ErrorKind::kNotFound, "container does not exist");
}

// Of the caller or of root. In a user namespace files of the host's root belong to nobody, and are not believed.
bool is_trusted(const struct stat& status) {
  return status.st_uid == ::geteuid() || status.st_uid == 0;
}

Result<> check_trust(int fd, const std::string& path, mode_t others) {
  struct stat status {};
  if (::fstat(fd, &status) != 0) return fail_errno("looking at " + shown(path));
  if (!is_trusted(status))
    return fail(ErrorKind::kDenied, shown(path) + " belongs to uid " + std::to_string(status.st_uid) +
                                        ": the state of a container must belong to its user or to root");
  if ((status.st_mode & others) != 0 && !((status.st_mode & S_ISVTX) != 0 && S_ISDIR(status.st_mode)))
    return fail(ErrorKind::kDenied, shown(path) + " can be written by others: mend it with chmod go-w");
  return {};
}

// The caller's own words name the root: links in it are followed, and its group may be the user's own (umask 002).
Result<UniqueFd> open_root(const std::string& root) {
  auto fd = sys::open(root, O_RDONLY | O_DIRECTORY);
  if (!fd && fd.error().errno_value == ENOENT) return not_there();
  if (!fd) return while_doing("opening the directory of the containers", fd.error());
  TRY(check_trust(fd->get(), root, S_IWOTH));
  return fd;
}

Result<> make_directory(const std::string& path, mode_t mode) {
  if (::mkdir(path.c_str(), 0700) != 0) {
    if (errno == EEXIST) return {};
    return fail_errno("making the directory " + shown(path));
  }
  // The caller's umask may have taken our own bits away.
  if (::chmod(path.c_str(), mode) != 0) return fail_errno("changing the mode of " + shown(path));
  return {};
}

Result<UniqueFd> make_root(const std::string& root) {
  if (auto fd = open_root(root); fd || fd.error().kind != ErrorKind::kNotFound) return fd;
  for (std::size_t slash = root.find('/', 1); slash != std::string::npos; slash = root.find('/', slash + 1))
    TRY(make_directory(root.substr(0, slash), 0700));
  TRY(make_directory(root, kRootMode));
  return open_root(root);
}

std::vector<std::string> names_in(int directory) {
  std::vector<std::string> names;
  UniqueFd again = open_at(directory, ".", O_RDONLY | O_DIRECTORY);
  if (!again.valid()) return names;
  DIR* stream = ::fdopendir(again.get());
  if (stream == nullptr) return names;
  (void)again.release();
  while (const dirent* entry = ::readdir(stream)) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  ::closedir(stream);
  return names;
}

// Whether nothing is in it but what this runtime may have made before the record: the rest of a `create` that was killed.
bool is_unfinished(int directory) {
  return std::ranges::all_of(names_in(directory), [](const std::string& name) {
    return name == kConfig || name == kGate || name == kReport || name == kNew || name == kState;
  });
}

Result<> remove_all(int directory, int depth) {
  if (depth > kMaxDepth) return fail(ErrorKind::kSystem, "directories are nested too deep");
  for (const std::string& name : names_in(directory)) {
    // The record goes last: without it nobody knows what else is to be removed.
    if (depth == 0 && name == kState) continue;
    if (::unlinkat(directory, name.c_str(), 0) == 0 || errno == ENOENT) continue;
    if (errno != EISDIR && errno != EPERM) return fail_errno("removing " + shown(name));
    const UniqueFd below = open_at(directory, name.c_str(), O_RDONLY | O_DIRECTORY);
    if (!below.valid()) return fail_errno("removing " + shown(name));
    TRY(remove_all(below.get(), depth + 1));
    if (::unlinkat(directory, name.c_str(), AT_REMOVEDIR) != 0) return fail_errno("removing " + shown(name));
  }
  if (depth == 0 && ::unlinkat(directory, kState, 0) != 0 && errno != ENOENT) return fail_errno("removing state.json");
  return {};
}

// A regular file that can be believed. kNotFound: it is not there.
Result<std::string> read_file(int directory, const char* name, const std::string& path, std::size_t limit) {
  const std::string full = path + "/" + name;
  // O_NONBLOCK: whatever else may be there must not be waited for.
  const UniqueFd fd = open_at(directory, name, O_RDONLY | O_NONBLOCK);
  if (!fd.valid() && errno == ENOENT) return fail(ErrorKind::kNotFound, shown(full) + " is not there");
  if (!fd.valid()) return fail_errno("opening " + shown(full));
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) return fail_errno("looking at " + shown(full));
  if (!S_ISREG(status.st_mode)) return fail(ErrorKind::kInvalid, shown(full) + " is no regular file");
  TRY(check_trust(fd.get(), full, S_IWGRP | S_IWOTH));
  if (status.st_size < 0 || std::cmp_greater(status.st_size, limit))
    return fail(ErrorKind::kInvalid, shown(full) + " is larger than the allowed " + std::to_string(limit) + " bytes");
  std::string text(static_cast<std::size_t>(status.st_size), '\0');
  std::size_t at = 0;
  while (at < text.size()) {
    const ssize_t size = ::read(fd.get(), text.data() + at, text.size() - at);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return fail_errno("reading " + shown(full));
    if (size == 0) break;
    at += static_cast<std::size_t>(size);
  }
  text.resize(at);
  return text;
}

std::string one_line(int directory, const char* file) {
  const auto text = cgroup::read_control(directory, file);
  return text ? text->substr(0, text->find('\n')) : std::string();
}

// cgroup.freeze of v2 says what was asked for; v1: kernel.org, cgroup-v1/freezer-subsystem.
bool is_frozen(const cgroup::Location& location) {
  const std::string& v2 = location.v2.path;
  if (!v2.empty()) {
    if (const auto directory = cgroup::open_directory(v2); directory && one_line(directory->get(), "cgroup.freeze") == "1")
      return true;
  }
  for (const auto& group : location.v1) {
    if (std::ranges::find(group.controllers, "freezer") == group.controllers.end()) continue;
    const auto directory = cgroup::open_directory(group.path);
    if (!directory) continue;
    const std::string state = one_line(directory->get(), "freezer.state");
    if (state == "FROZEN" || state == "FREEZING") return true;
  }
  return false;
}

bool is_own_directory(const std::string& path) {
  struct stat status {};
  return ::lstat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode) && status.st_uid == ::geteuid();
}

}  // namespace

std::string default_container_root() {
  constexpr std::string_view kBelow = "/clawrun/containers";
  const char* runtime = ::getenv("XDG_RUNTIME_DIR");
  const bool has_runtime = runtime != nullptr && *runtime == '/';
  const bool is_root = ::geteuid() == 0;
  if (has_runtime && (!is_root || cgroup::in_user_namespace())) return runtime + std::string(kBelow);
  // pam_systemd(8) makes it; who comes by su or cron has no variable for it.
  const std::string own = "/run/user/" + std::to_string(::geteuid());
  if (!is_root && is_own_directory(own)) return own + std::string(kBelow);
  return "/run" + std::string(kBelow);
}

std::string_view status_name(ContainerStatus status) {
  switch (status) {
    case ContainerStatus::kCreating:
      return "creating";
    case ContainerStatus::kCreated:
      return "created";
    case ContainerStatus::kRunning:
      return "running";
    case ContainerStatus::kPaused:
      return "paused";
    case ContainerStatus::kStopped:
      break;
  }
  return "stopped";
}

Result<Container> Container::find(UniqueFd root_directory, const std::string& root, const std::string& id) {
  Container container;
  container.root_ = std::move(root_directory);
  container.id_ = id;
  container.path_ = root + "/" + id;
  container.directory_ = open_at(container.root_.get(), id.c_str(), O_RDONLY | O_DIRECTORY);
  if (!container.directory_.valid()) {
    if (errno == ENOENT || errno == ENAMETOOLONG) return not_there();
    return fail_errno("opening " + shown(container.path_));
  }
  TRY(check_trust(container.directory_.get(), container.path_, S_IWGRP | S_IWOTH));
  return container;
}

// False: it was removed, and perhaps made anew, while the lock was waited for.
Result<bool> Container::lock(std::chrono::milliseconds time) {
  const auto until = std::chrono::steady_clock::now() + time;
  for (int pause_ms = 1; ::flock(directory_.get(), LOCK_EX | LOCK_NB) != 0; pause_ms = std::min(pause_ms * 2, 20)) {
    if (errno == EINTR) continue;
    if (errno != EWOULDBLOCK) return fail_errno("locking " + shown(path_));
    if (std::chrono::steady_clock::now() >= until)
      return fail(ErrorKind::kDenied, "container " + shown(id_) + " is being changed by another process, which does not end");
    ::poll(nullptr, 0, pause_ms);
  }
  struct stat ours {};
  struct stat named {};
  if (::fstat(directory_.get(), &ours) != 0) return fail_errno("looking at " + shown(path_));
  return ::fstatat(root_.get(), id_.c_str(), &named, AT_SYMLINK_NOFOLLOW) == 0 && ours.st_ino == named.st_ino &&
         ours.st_dev == named.st_dev;
}

Result<Container> Container::create(const std::string& root, const std::string& id) {
  TRY(check_container_id(id));
  // Between the making and the locking another runtime may take it for the rest of one that was killed, and remove it.
  for (int tried = 0; tried < kCreateTries; ++tried) {
    UniqueFd root_directory = TRY(make_root(root));
    if (::mkdirat(root_directory.get(), id.c_str(), 0700) != 0) {
      if (errno == EEXIST) return fail(ErrorKind::kInvalid, "container with given ID already exists");
      if (errno == ENOENT) continue;  // somebody has removed the root
      return fail_errno("making " + shown(root + "/" + id));
    }
    auto container = find(std::move(root_directory), root, id);
    if (!container && container.error().kind == ErrorKind::kNotFound) continue;
    if (!container) return container;
    // The caller's umask may have taken our own bits away.
    if (::fchmod(container->directory_.get(), 0700) != 0) return fail_errno("changing the mode of " + shown(container->path_));
    const bool is_ours = TRY(container->lock(kLockTime));
    if (!is_ours) continue;
    container->held_ = Held::kByMaker;
    return container;
  }
  return fail(ErrorKind::kSystem, "making " + shown(root + "/" + id) + ": other processes remove it again and again");
}

Result<Container> Container::open(const std::string& root, const std::string& id, Lock lock,
                                  std::chrono::milliseconds lock_time) {
  TRY(check_container_id(id));
  UniqueFd root_directory = TRY(open_root(root));
  Container container = TRY(find(std::move(root_directory), root, id));
  if (lock == Lock::kShared) return container;
  const bool is_there = TRY(container.lock(lock_time));
  if (!is_there) return not_there();
  container.held_ = Held::kByOpener;
  return container;
}

// Only who holds the lock writes, so one name for what is new is enough; what is there under it is of a runtime that was killed.
Result<> Container::replace(const char* name, std::string_view text) const {
  const std::string doing = "writing " + shown(path_ + "/" + name);
  if (held_ == Held::kNot) return fail(ErrorKind::kInternal, doing + ": the container is not locked");
  if (::unlinkat(directory_.get(), kNew, 0) != 0 && errno != ENOENT) return fail_errno(doing);
  {
    const UniqueFd file = open_at(directory_.get(), kNew, O_WRONLY | O_CREAT | O_EXCL, kFileMode);
    if (!file.valid()) return fail_errno(doing);
    if (::fchmod(file.get(), kFileMode) != 0) return fail_errno(doing);
    if (auto written = sys::write_all(file.get(), text); !written) return while_doing(doing, written.error());
  }
  if (::renameat(directory_.get(), kNew, directory_.get(), name) != 0) return fail_errno(doing);
  return {};
}

Result<> Container::write(const ContainerRecord& record) {
  if (record.id != id_) return fail(ErrorKind::kInternal, "the state of another container is to be written");
  const std::string text = TRY(container_to_text(record));
  return replace(kState, text);
}

Result<ContainerRecord> Container::read() const {
  const auto not_ours = [&](const std::string& why) {
    return fail(ErrorKind::kInvalid, shown(path_) + " is not the state of a container of clawrun: " + why);
  };
  auto text = read_file(directory_.get(), kState, path_, kMaxContainerBytes);
  // An empty one is what is left of it where the root is on a disk and the power failed.
  const bool is_missing = text ? text->empty() : text.error().kind == ErrorKind::kNotFound;
  if (is_missing && !is_unfinished(directory_.get())) return not_ours("another runtime made it");
  if (!text) return std::unexpected(std::move(text).error());
  if (is_missing) return fail(ErrorKind::kNotFound, shown(path_) + "/state.json is empty");
  auto record = parse_container(*text);
  if (!record) return not_ours("state.json: " + record.error().message);
  if (record->id != id_) return not_ours("state.json is that of " + quoted(record->id));
  return record;
}

bool Container::is_being_made() const {
  if (held_ != Held::kNot) return held_ == Held::kByMaker;
  const UniqueFd again = open_at(directory_.get(), ".", O_RDONLY | O_DIRECTORY);
  return again.valid() && ::flock(again.get(), LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
}

Result<ContainerState> Container::state() const {
  auto record = read();
  if (!record && record.error().kind != ErrorKind::kNotFound) return std::unexpected(std::move(record).error());
  ContainerState state;
  if (!record) {
    state.record.id = id_;
    struct stat status {};
    // It may have been removed since it was opened.
    if (::fstatat(root_.get(), id_.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) return not_there();
    state.status = is_being_made() ? ContainerStatus::kCreating : ContainerStatus::kStopped;
    return state;
  }
  state.record = std::move(*record);
  const Process& maker = state.record.maker;
  if (maker.pid > 0 || state.record.init.pid == 0) {
    const bool making = maker.pid > 0 ? is_alive(maker) : is_being_made();
    state.status = making ? ContainerStatus::kCreating : ContainerStatus::kStopped;
  } else if (!is_alive(state.record.init)) {
    state.status = ContainerStatus::kStopped;
  } else if (is_frozen(state.record.location)) {
    state.status = ContainerStatus::kPaused;
  } else {
    state.status = is_at_gate() ? ContainerStatus::kCreated : ContainerStatus::kRunning;
  }
  return state;
}

Result<> Container::write_config(std::string_view json) {
  return replace(kConfig, json);
}

Result<std::string> Container::read_config() const {
  return read_file(directory_.get(), kConfig, path_, oci::kMaxConfigBytes);
}

Result<> Container::make_gate() {
  // The report before the gate, which is what makes the container a created one.
  for (const char* name : {kReport, kGate}) {
    if (::unlinkat(directory_.get(), name, 0) != 0 && errno != ENOENT) return fail_errno("removing an old " + std::string(name));
    if (::mkfifoat(directory_.get(), name, kFileMode) != 0 || ::fchmodat(directory_.get(), name, kFileMode, 0) != 0)
      return fail_errno("making the FIFO " + shown(path_ + "/" + name));
  }
  return {};
}

// fifo(7): without a reader it cannot be opened so. A `start` that was killed after it had opened the gate leaves the file.
bool Container::is_at_gate() const {
  return open_at(directory_.get(), kGate, O_WRONLY | O_NONBLOCK).valid();
}

void Container::remove_gate() {
  for (const char* name : {kGate, kReport}) ::unlinkat(directory_.get(), name, 0);
}

Result<> Container::remove() {
  if (held_ == Held::kNot) return fail(ErrorKind::kInternal, "removing a container that is not locked");
  if (auto emptied = remove_all(directory_.get(), 0); !emptied) return while_doing("removing " + shown(path_), emptied.error());
  if (::unlinkat(root_.get(), id_.c_str(), AT_REMOVEDIR) != 0 && errno != ENOENT) return fail_errno("removing " + shown(path_));
  return {};
}

Result<ContainerListing> list_containers(const std::string& root) {
  ContainerListing listing;
  auto directory = open_root(root);
  if (!directory && directory.error().kind == ErrorKind::kNotFound) return listing;
  if (!directory) return std::unexpected(std::move(directory).error());
  std::vector<std::string> names = names_in(directory->get());
  std::ranges::sort(names);
  for (const std::string& name : names) {
    struct stat status {};
    const bool is_directory =
        ::fstatat(directory->get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(status.st_mode);
    if (!is_directory || !check_container_id(name)) continue;
    const auto problem = [&](const Error& error) {
      // It went while we looked.
      if (error.kind != ErrorKind::kNotFound) listing.problems.push_back(shown(name) + ": " + error.message);
    };
    auto container = Container::open(root, name, Container::Lock::kShared);
    if (!container) {
      problem(container.error());
      continue;
    }
    auto state = container->state();
    if (state)
      listing.containers.push_back(std::move(*state));
    else
      problem(state.error());
  }
  return listing;
}

}  // namespace clawrun::state
