#include "cgroup/files.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <memory>

#include "base/text.h"
#include "cgroup/limits.h"
#include "sys/sys.h"

namespace clawrun::cgroup {

namespace {

constexpr std::size_t kMaxText = 1 << 20U;

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.remove_suffix(1);
  return text;
}

std::optional<std::uint64_t> number(std::string_view text) {
  if (text == "max" || text == "-1") return kUnlimited;
  const auto parsed = parse_unsigned(text);
  if (!parsed) return std::nullopt;
  return *parsed;
}

}  // namespace

Result<UniqueFd> open_directory(const std::string& path) {
  auto fd = sys::open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (!fd) return while_doing("opening the cgroup", fd.error());
  return fd;
}

Result<std::string> read_control(int directory, const char* file) {
  const UniqueFd fd(::openat(directory, file, O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return fail_errno(std::string("reading ") + file);
  std::string text;
  char buffer[4096];
  for (;;) {
    const ssize_t size = ::read(fd.get(), buffer, sizeof buffer);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return fail_errno(std::string("reading ") + file);
    if (size == 0) return text;
    text.append(buffer, static_cast<std::size_t>(size));
    if (text.size() > kMaxText) return fail(ErrorKind::kSystem, std::string(file) + " is larger than any control file");
  }
}

Result<> write_control(int directory, const char* file, std::string_view value) {
  const UniqueFd fd(::openat(directory, file, O_WRONLY | O_CLOEXEC));
  if (!fd.valid()) return fail_errno(std::string("opening ") + file);
  ssize_t size = 0;
  do {
    size = ::write(fd.get(), value.data(), value.size());
  } while (size < 0 && errno == EINTR);
  if (size < 0) return fail_errno("writing " + quoted(value) + " to " + file);
  return {};
}

std::optional<std::uint64_t> read_number(int directory, const char* file) {
  const auto text = read_control(directory, file);
  if (!text) return std::nullopt;
  return number(trimmed(*text));
}

std::optional<std::uint64_t> flat_keyed(std::string_view text, std::string_view key) {
  for (const std::string_view line : split(text, '\n'))
    if (line.size() > key.size() && line.starts_with(key) && line[key.size()] == ' ')
      return number(trimmed(line.substr(key.size() + 1)));
  return std::nullopt;
}

bool exists_in(int directory, const char* file) {
  return ::faccessat(directory, file, F_OK, 0) == 0;
}

const char* why_not_writable(const std::string& directory) {
  const auto refuses = [&](const char* file) { return ::faccessat(AT_FDCWD, (directory + file).c_str(), W_OK, AT_EACCESS) != 0; };
  // Root is stopped by the mount alone, which the directory tells.
  if (!refuses("") && (::geteuid() == 0 || !refuses("/cgroup.procs"))) return nullptr;
  return errno == EROFS ? "is mounted read-only" : errno == ENOENT ? "does not exist" : "is not this user's to change";
}

bool is_hierarchy_root(const std::string& directory) {
  return ::access((directory + "/cgroup.events").c_str(), F_OK) != 0;  // only the root has none
}

std::vector<std::string> groups_in(const std::string& directory) {
  std::vector<std::string> names;
  struct stat status {};
  // A group without others in it, which nearly all are, has two links: kernfs_refresh_inode() in the kernel.
  if (::lstat(directory.c_str(), &status) != 0 || !S_ISDIR(status.st_mode) || status.st_nlink == 2) return names;
  const std::unique_ptr<DIR, int (*)(DIR*)> stream(::opendir(directory.c_str()), ::closedir);
  if (!stream) return names;
  while (const dirent* entry = ::readdir(stream.get())) {
    const std::string_view name = entry->d_name;
    if (entry->d_type == DT_DIR && name != "." && name != "..") names.emplace_back(name);
  }
  return names;
}

bool has_word(std::string_view text, std::string_view word) {
  const auto words = split(trimmed(text), ' ');
  return std::ranges::find(words, word) != words.end();
}

}  // namespace clawrun::cgroup
