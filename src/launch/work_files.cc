#include "launch/work_files.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <memory>

#include "base/text.h"
#include "launch/shared_memory.h"
#include "sys/sys.h"

namespace clawrun::launch {

namespace {

constexpr std::size_t kMostEntries = 65536;
constexpr std::size_t kPathMax = 4095;

// One thread takes the sandbox's user for its access to files: setfsuid(2), by the raw call, which concerns the thread alone. For
// root this is not only a restriction: on a file system of the sandbox's own, which knows no other ids, root can make no file.
class AsUser {
 public:
  explicit AsUser(const std::optional<WorkFiles::User>& user) {
    if (!user) return;
    guard_.emplace();
    ::prctl(PR_GET_PDEATHSIG, &parent_death_signal_);
    group_ = ::syscall(SYS_setfsgid, user->gid);
    owner_ = ::syscall(SYS_setfsuid, user->uid);
    changed_ = true;
    constexpr int kNobody = -1;  // changes nothing, and answers who it is now
    refused_ = ::syscall(SYS_setfsuid, kNobody) != static_cast<long>(user->uid) ||
               ::syscall(SYS_setfsgid, kNobody) != static_cast<long>(user->gid);
  }
  AsUser(const AsUser&) = delete;
  AsUser& operator=(const AsUser&) = delete;
  ~AsUser() {
    if (!changed_) return;
    ::syscall(SYS_setfsuid, owner_);
    ::syscall(SYS_setfsgid, group_);
    // A change of either takes it away: prctl(2)
    if (parent_death_signal_ != 0) ::prctl(PR_SET_PDEATHSIG, parent_death_signal_);
  }

  [[nodiscard]] Result<> check() const {
    if (refused_) return fail(ErrorKind::kDenied, "becoming the sandbox's user for its files needs CAP_SETUID and CAP_SETGID");
    return {};
  }

 private:
  std::optional<SharedMemoryGuard> guard_;
  long owner_ = 0;
  long group_ = 0;
  int parent_death_signal_ = 0;
  bool changed_ = false;
  bool refused_ = false;
};

Result<> check_path(std::string_view path) {
  const auto refused = [&](std::string_view why) {
    return fail(ErrorKind::kInvalid, quoted(path) + " " + std::string(why) +
                                         ": a path is relative to the work directory, without empty, . and .. parts");
  };
  if (path.size() > kPathMax) return refused("is longer than 4095 bytes");
  if (path.find('\0') != std::string_view::npos) return refused("has a NUL byte");
  if (path.starts_with('/')) return refused("is absolute");
  for (const std::string_view part : split(path, '/')) {
    if (part.empty()) return refused(path.empty() ? "is empty" : "has an empty part");
    if (part == "." || part == "..") return refused("has a part that leads elsewhere");
  }
  return {};
}

// What the flags of open_below() refuse, in words.
Failure explain(std::string_view path, int error) {
  const char* why = nullptr;
  if (error == ELOOP) why = "a symbolic link stands there, and none is followed";
  if (error == EXDEV) why = "it lies on another mount, or outside";
  if (error == EWOULDBLOCK) why = "a process of the sandbox holds a lease on it";
  if (error == ENXIO) why = "not a regular file";
  if (error == ENOSPC) why = "no room left in the sandbox's file system (--tmp-size)";
  if (error == ENOSYS) why = "this system refuses openat2, without which no path of a sandbox can be trusted (Linux 5.6)";
  if (why == nullptr) return fail_errno(quoted(path), error);
  Failure failure = fail(error == ENOSYS ? ErrorKind::kUnsupported : ErrorKind::kSystem, quoted(path) + ": " + why);
  failure.error().errno_value = error;
  return failure;
}

// Never outside, never through a link or another mount, and never waiting: of a FIFO, or for the holder of a lease.
UniqueFd open_below(int directory, const char* path, int flags) {
  open_how how{};
  how.flags = static_cast<__u64>(flags | O_CLOEXEC | ((flags & O_PATH) == 0 ? O_NONBLOCK | O_NOCTTY : 0));
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV;
  // A rename meanwhile may make the kernel unsure: openat2(2), EAGAIN. The sandbox can do that for ever.
  constexpr int kTries = 64;
  long opened = -1;
  for (int i = 0; i < kTries && opened < 0; ++i) {
    opened = ::syscall(SYS_openat2, directory, path, &how, sizeof how);
    if (opened < 0 && errno != EAGAIN && errno != EINTR) break;
  }
  return UniqueFd(static_cast<int>(opened));
}

// The directory that is to hold the last part of `path`, made where it is missing; `name` becomes that part.
Result<UniqueFd> open_parent(int work, std::string_view path, std::string* name) {
  UniqueFd directory = open_below(work, ".", O_PATH | O_DIRECTORY);
  if (!directory.valid()) return explain(path, errno);
  const std::vector<std::string_view> parts = split(path, '/');
  for (std::size_t i = 0; i + 1 < parts.size(); ++i) {
    const std::string part(parts[i]);
    UniqueFd next = open_below(directory.get(), part.c_str(), O_PATH | O_DIRECTORY);
    if (!next.valid() && errno == ENOENT) {
      if (::mkdirat(directory.get(), part.c_str(), 0755) != 0 && errno != EEXIST) return explain(path, errno);
      next = open_below(directory.get(), part.c_str(), O_PATH | O_DIRECTORY);
    }
    if (!next.valid()) return explain(path, errno);
    directory = std::move(next);
  }
  *name = parts.back();
  return directory;
}

Result<std::string> temporary_name() {
  std::array<unsigned char, 8> bytes{};
  if (::getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size()))
    return fail_errno("drawing a random number");
  std::string name = ".clawrun-";
  for (const unsigned char byte : bytes) {
    name += "0123456789abcdef"[byte >> 4U];
    name += "0123456789abcdef"[byte & 15U];
  }
  return name;
}

FileEntry::Type type_of(mode_t mode) {
  if (S_ISREG(mode)) return FileEntry::Type::kFile;
  if (S_ISDIR(mode)) return FileEntry::Type::kDirectory;
  return S_ISLNK(mode) ? FileEntry::Type::kSymlink : FileEntry::Type::kOther;
}

Failure too_large(std::string_view path, std::size_t max_bytes) {
  Failure failure = fail(ErrorKind::kInvalid, quoted(path) + ": larger than the allowed " + std::to_string(max_bytes) + " bytes");
  failure.error().errno_value = EFBIG;
  return failure;
}

}  // namespace

Result<> WorkFiles::put(std::string_view path, std::string_view data, mode_t mode) const {
  TRY(check_path(path));
  if ((mode & ~mode_t{0777}) != 0)
    return fail(ErrorKind::kInvalid, quoted(path) + ": a mode has permission bits only, 0 to 0777");
  const std::string temporary = TRY(temporary_name());
  const AsUser as_user(user_);
  TRY(as_user.check());
  std::string name;
  const UniqueFd parent = TRY(open_parent(directory_.get(), path, &name));
  const UniqueFd file(::openat(parent.get(), temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!file.valid()) return explain(path, errno);
  int error = 0;
  if (auto written = sys::write_all(file.get(), data); !written) error = written.error().errno_value;
  // What the name stands for by now is the sandbox's own affair: it is its directory, and rename(2) follows nothing.
  else if (::fchmod(file.get(), mode) != 0 || ::renameat(parent.get(), temporary.c_str(), parent.get(), name.c_str()) != 0)
    error = errno;
  if (error == 0) return {};
  ::unlinkat(parent.get(), temporary.c_str(), 0);
  return explain(path, error);
}

Result<std::string> WorkFiles::get(std::string_view path, std::size_t max_bytes) const {
  TRY(check_path(path));
  const AsUser as_user(user_);
  TRY(as_user.check());
  const UniqueFd file = open_below(directory_.get(), std::string(path).c_str(), O_RDONLY | O_NOFOLLOW);
  if (!file.valid()) return explain(path, errno);
  struct stat info {};
  if (::fstat(file.get(), &info) != 0) return explain(path, errno);
  if (!S_ISREG(info.st_mode)) return explain(path, S_ISDIR(info.st_mode) ? EISDIR : ENXIO);
  if (static_cast<std::uint64_t>(info.st_size) > max_bytes) return too_large(path, max_bytes);
  std::string data;
  constexpr std::size_t kChunk = 64 << 10U;
  for (;;) {
    const std::size_t have = data.size();
    // One byte more than allowed tells that the file has grown.
    const std::size_t expected = have == 0 ? static_cast<std::size_t>(info.st_size) : kChunk;
    const std::size_t room = std::min(expected, max_bytes - have) + 1;
    data.resize(have + room);
    const ssize_t size = ::read(file.get(), data.data() + have, room);
    data.resize(have + (size > 0 ? static_cast<std::size_t>(size) : 0));
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return explain(path, errno);
    if (size == 0) return data;
    if (data.size() > max_bytes) return too_large(path, max_bytes);
  }
}

Result<std::vector<FileEntry>> WorkFiles::list(std::string_view path) const {
  if (!path.empty()) TRY(check_path(path));
  const AsUser as_user(user_);
  TRY(as_user.check());
  UniqueFd opened = open_below(directory_.get(), path.empty() ? "." : std::string(path).c_str(), O_RDONLY | O_DIRECTORY);
  if (!opened.valid()) return explain(path, errno);
  const std::unique_ptr<DIR, int (*)(DIR*)> directory(::fdopendir(opened.get()), &::closedir);
  if (directory == nullptr) return explain(path, errno);
  const int fd = opened.release();  // closedir() closes it
  std::vector<FileEntry> entries;
  for (;;) {
    errno = 0;
    const dirent* entry = ::readdir(directory.get());
    if (entry == nullptr && errno != 0) return explain(path, errno);
    if (entry == nullptr) break;
    const std::string_view name = entry->d_name;
    if (name == "." || name == "..") continue;
    if (entries.size() == kMostEntries)
      return fail(ErrorKind::kInvalid, quoted(path) + ": more than the allowed " + std::to_string(kMostEntries) + " entries");
    struct stat info {};
    if (::fstatat(fd, entry->d_name, &info, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT) != 0) continue;  // removed meanwhile
    FileEntry one{std::string(name), type_of(info.st_mode)};
    one.size_bytes = static_cast<std::uint64_t>(info.st_size);
    one.mode = info.st_mode & 07777U;
    one.mtime_ms = info.st_mtim.tv_sec * 1000 + info.st_mtim.tv_nsec / 1'000'000;
    entries.push_back(std::move(one));
  }
  std::ranges::sort(entries, {}, &FileEntry::name);
  return entries;
}

}  // namespace clawrun::launch
