#include "container/in_root.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/text.h"
#include "child/walk.h"

namespace clawrun::container {

namespace {

// Probed once, before the root is known: a fallback chosen in the middle of a walk could resolve a path twice.
bool has_openat2() {
  static const bool has = [] {
    open_how how{};
    how.flags = O_PATH | O_CLOEXEC;
    const long fd = ::syscall(SYS_openat2, AT_FDCWD, "/", &how, sizeof how);
    if (fd >= 0) ::close(static_cast<int>(fd));
    return fd >= 0;
  }();
  return has;
}

std::string relative(const std::string& path) {
  const std::size_t begin = path.find_first_not_of('/');
  std::string text = begin == std::string::npos ? "" : path.substr(begin);
  while (text.ends_with('/')) text.pop_back();
  return text;
}

Failure failed(const std::string& path, int error) {
  Failure failure = fail_errno(quoted(path), error);
  if (error == ENOENT) failure.error().kind = ErrorKind::kNotFound;
  return failure;
}

}  // namespace

Result<UniqueFd> open_in_root(int root, const std::string& path, LastLink last) {
  const int fd =
      child::open_in_root(root, relative(path).c_str(), {.has_openat2 = has_openat2(), .no_follow = last == LastLink::kRefuse});
  if (fd < 0) return failed(path, -fd);
  return UniqueFd(fd);
}

Result<UniqueFd> open_parent_in_root(int root, const std::string& path, std::string& name) {
  const std::string inside = relative(path);
  const char* last = nullptr;
  const int fd = child::open_parent_in_root(root, inside.c_str(), has_openat2(), &last);
  if (fd < 0) return failed(path, -fd);
  name = last;
  return UniqueFd(fd);
}

Result<UniqueFd> make_directory_in_root(int root, const std::string& path, mode_t mode) {
  auto found = open_in_root(root, path);
  if (!found) {
    if (found.error().kind != ErrorKind::kNotFound) return found;
    std::string name;
    const UniqueFd parent = TRY(open_parent_in_root(root, path, name));
    if (::mkdirat(parent.get(), name.c_str(), mode) != 0 && errno != EEXIST) return failed(path, errno);
    found = open_in_root(root, path);
    if (!found) return found;
  }
  struct stat info {};
  if (::fstat(found->get(), &info) != 0) return failed(path, errno);
  if (!S_ISDIR(info.st_mode)) return failed(path, ENOTDIR);
  return found;
}

Result<UniqueFd> make_file_in_root(int root, const std::string& path) {
  auto found = open_in_root(root, path);
  if (found || found.error().kind != ErrorKind::kNotFound) return found;
  std::string name;
  const UniqueFd parent = TRY(open_parent_in_root(root, path, name));
  const UniqueFd made(::openat(parent.get(), name.c_str(), O_CREAT | O_EXCL | O_NOFOLLOW | O_WRONLY | O_CLOEXEC, 0755));
  if (!made.valid() && errno != EEXIST) return failed(path, errno);
  return open_in_root(root, path);
}

std::string path_of(int fd) {
  return "/proc/self/fd/" + std::to_string(fd);
}

}  // namespace clawrun::container
