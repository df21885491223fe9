#include "sys/own_program.h"

#include <fcntl.h>
#include <linux/mount.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <climits>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "sys/sys.h"

namespace clawrun::sys {

namespace {

constexpr const char* kOwnFile = "/proc/self/exe";
constexpr std::size_t kMaxProgramBytes = std::size_t{256} << 20U;
constexpr std::size_t kMaxArgumentBytes = std::size_t{16} << 20U;

bool executed_by_descriptor() {
  const auto* name = reinterpret_cast<const char*>(::getauxval(AT_EXECFN));
  return name != nullptr && std::string_view(name).starts_with("/dev/fd/");
}

// An ordinary fexecve(3) has the first and not the second; a read-only /usr, which is the administrator's to end, has the second
// and not the first.
bool has_left() {
  if (!executed_by_descriptor()) return false;
  const UniqueFd file(::open(kOwnFile, O_RDONLY | O_CLOEXEC));
  struct statvfs mount {};
  if (file.valid() && ::fstatvfs(file.get(), &mount) == 0 && (mount.f_flag & ST_RDONLY) != 0) return true;
  const int seals = file.valid() ? ::fcntl(file.get(), F_GET_SEALS) : -1;
  return seals >= 0 && (seals & F_SEAL_WRITE) != 0;
}

// Who can chmod(2) it can write it.
bool can_be_written() {
  struct stat info {};
  return ::stat(kOwnFile, &info) != 0 || ::geteuid() == 0 || info.st_uid == ::geteuid() ||
         ::faccessat(AT_FDCWD, kOwnFile, W_OK, AT_EACCESS) == 0;
}

UniqueFd read_only_mount() {
  UniqueFd tree(static_cast<int>(::syscall(SYS_open_tree, AT_FDCWD, kOwnFile, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC)));
  mount_attr attributes{};
  attributes.attr_set = MOUNT_ATTR_RDONLY;
  if (tree.valid() && ::syscall(SYS_mount_setattr, tree.get(), "", AT_EMPTY_PATH, &attributes, sizeof attributes) != 0)
    tree.reset();
  return tree;
}

Result<UniqueFd> sealed_copy() {
  const std::string bytes = TRY(read_file(kOwnFile, kMaxProgramBytes));
  UniqueFd copy = TRY(executable_memfd("clawrun", {reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size()}));
  // Readable, or the files of /proc/PID were root's, and an ordinary user could not map the ids of a user namespace: proc(5).
  if (::fchmod(copy.get(), 0555) != 0) return fail_errno("changing the mode of a memfd");
  return copy;
}

std::vector<char*> pointers(std::string& texts) {
  std::vector<char*> all;
  for (std::size_t at = 0; at < texts.size(); at = texts.find('\0', at) + 1) all.push_back(texts.data() + at);
  all.push_back(nullptr);
  return all;
}

std::string link_text() {
  char path[PATH_MAX];
  const ssize_t size = ::readlink(kOwnFile, path, sizeof path);
  if (size <= 0 || size == sizeof path) return {};
  return std::string(path, static_cast<std::size_t>(size));
}

}  // namespace

Result<> leave_own_file() {
  if (!can_be_written() || has_left()) return {};
  if (executed_by_descriptor() && ::getenv(kOwnPathVariable) != nullptr)
    return fail(ErrorKind::kInternal, "clawrun's own file can still be written after a second execve(2)");
  UniqueFd program = read_only_mount();
  if (!program.valid()) program = TRY(sealed_copy());
  std::string arguments = TRY(read_file("/proc/self/cmdline", kMaxArgumentBytes));
  // Of a caller that gave none at all.
  if (arguments.empty()) arguments.assign(1, '\0');
  const std::vector<char*> argv = pointers(arguments);
  if (::setenv(kOwnPathVariable, link_text().c_str(), 1) != 0) return fail_errno("setting " + std::string(kOwnPathVariable));
  ::syscall(SYS_execveat, program.get(), "", argv.data(), environ, AT_EMPTY_PATH);
  return fail_errno("executing clawrun from where no container can write it");
}

std::string own_path() {
  if (!has_left()) return link_text();
  const char* path = ::getenv(kOwnPathVariable);
  return path == nullptr ? "" : path;
}

}  // namespace clawrun::sys
