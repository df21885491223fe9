#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <vector>

#include "base/text.h"
#include "container/in_root.h"
#include "container/mount.h"
#include "sys/sys.h"

namespace clawrun::container {

namespace {

constexpr int kDeepest = 256;

struct CloseDirectory {
  void operator()(DIR* directory) const { ::closedir(directory); }
};

// Best effort, as cp(1) has it: a file system need not know every attribute of another.
void copy_attributes(int from, int to) {
  char names[4096];
  const ssize_t size = ::flistxattr(from, names, sizeof names);
  for (ssize_t at = 0; at < size;) {
    const std::string name = names + at;
    at += static_cast<ssize_t>(name.size()) + 1;
    std::vector<char> value(65536);
    const ssize_t length = ::fgetxattr(from, name.c_str(), value.data(), value.size());
    if (length >= 0) (void)!::fsetxattr(to, name.c_str(), value.data(), static_cast<std::size_t>(length), 0);
  }
}

Result<> copy_content(int from, int to) {
  std::vector<char> buffer(std::size_t{128} << 10U);
  for (;;) {
    const ssize_t size = ::read(from, buffer.data(), buffer.size());
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return fail_errno("reading");
    if (size == 0) return {};
    TRY(sys::write_all(to, {buffer.data(), static_cast<std::size_t>(size)}));
  }
}

Result<> finish(int to, const struct stat& info) {
  if (::fchown(to, info.st_uid, info.st_gid) != 0) return fail_errno("chown");
  if (::fchmod(to, info.st_mode & 07777U) != 0) return fail_errno("chmod");
  const timespec times[2] = {info.st_atim, info.st_mtim};
  if (::futimens(to, times) != 0) return fail_errno("setting times");
  return {};
}

Result<> copy_directory(int from, int to, int depth);

Result<> copy_entry(int from, int to, const char* name, int depth) {
  struct stat info {};
  if (::fstatat(from, name, &info, AT_SYMLINK_NOFOLLOW) != 0) return fail_errno("looking at it");
  if (S_ISLNK(info.st_mode)) {
    char text[4096];
    const ssize_t size = ::readlinkat(from, name, text, sizeof text - 1);
    if (size < 0) return fail_errno("reading the link");
    text[size] = '\0';
    if (::symlinkat(text, to, name) != 0) return fail_errno("making the link");
    if (::fchownat(to, name, info.st_uid, info.st_gid, AT_SYMLINK_NOFOLLOW) != 0) return fail_errno("chown");
    return {};
  }
  if (!S_ISDIR(info.st_mode) && !S_ISREG(info.st_mode)) {
    if (S_ISSOCK(info.st_mode)) return {};
    if (::mknodat(to, name, info.st_mode, info.st_rdev) != 0) return fail_errno("mknod");
    if (::fchownat(to, name, info.st_uid, info.st_gid, AT_SYMLINK_NOFOLLOW) != 0) return fail_errno("chown");
    return {};
  }
  const UniqueFd source(::openat(from, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!source.valid() || ::fstat(source.get(), &info) != 0) return fail_errno("opening it");
  if (!S_ISDIR(info.st_mode) && !S_ISREG(info.st_mode)) return fail(ErrorKind::kInvalid, "it has become another kind of file");
  if (S_ISDIR(info.st_mode)) {
    if (::mkdirat(to, name, 0700) != 0) return fail_errno("mkdir");
    const UniqueFd copy(::openat(to, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!copy.valid()) return fail_errno("opening the copy");
    return copy_directory(source.get(), copy.get(), depth + 1);
  }
  const UniqueFd copy(::openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!copy.valid()) return fail_errno("making the copy");
  TRY(copy_content(source.get(), copy.get()));
  copy_attributes(source.get(), copy.get());
  return finish(copy.get(), info);
}

// Both are open for reading. The directory's own owner, mode and times last: making entries changes the times.
Result<> copy_directory(int from, int to, int depth) {
  if (depth > kDeepest) return fail(ErrorKind::kInvalid, "directories are nested deeper than " + std::to_string(kDeepest));
  const int list = ::fcntl(from, F_DUPFD_CLOEXEC, 3);
  const std::unique_ptr<DIR, CloseDirectory> directory(list < 0 ? nullptr : ::fdopendir(list));
  if (!directory) return fail_errno("reading the directory");
  for (;;) {
    errno = 0;
    const dirent* entry = ::readdir(directory.get());
    if (entry == nullptr) break;
    const std::string name = entry->d_name;
    if (name == "." || name == "..") continue;
    if (auto copied = copy_entry(from, to, name.c_str(), depth); !copied) return while_doing(quoted(name), copied.error());
  }
  if (errno != 0) return fail_errno("reading the directory");
  struct stat info {};
  if (::fstat(from, &info) != 0) return fail_errno("looking at the directory");
  copy_attributes(from, to);
  return finish(to, info);
}

}  // namespace

Result<> copy_up(int from, int to) {
  const UniqueFd source(::openat(from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  const UniqueFd copy(::openat(to, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!source.valid() || !copy.valid()) return fail_errno("opening the directory");
  return copy_directory(source.get(), copy.get(), 0);
}

}  // namespace clawrun::container
