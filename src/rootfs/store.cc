#include "rootfs/store.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <map>
#include <memory>

#include "base/text.h"
#include "base/unique_fd.h"
#include "rootfs/entry.h"

namespace clawrun::rootfs {

namespace {

constexpr std::size_t kLongestName = 64;
constexpr std::string_view kMetaSuffix = ".meta";
constexpr std::size_t kLargestMeta_bytes = 64 * 1024;
constexpr std::string_view kSystemStore = "/var/lib/clawrun/rootfs";
// The scripts whose roots have their name by default.
constexpr std::array<std::string_view, 6> kScripts = {"alpine", "busybox", "cc", "debian", "node", "python"};

bool is_name_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
}

std::string_view environment(const char* variable) {
  const char* value = ::getenv(variable);
  return value == nullptr ? std::string_view() : std::string_view(value);
}

std::optional<std::string> store_of_user() {
  // Paths that are not absolute are to be ignored: XDG Base Directory Specification.
  if (const std::string_view data = environment("XDG_DATA_HOME"); data.starts_with('/'))
    return std::string(data) + "/clawrun/rootfs";
  if (const std::string_view home = environment("HOME"); home.starts_with('/'))
    return std::string(home) + "/.local/share/clawrun/rootfs";
  return std::nullopt;
}

using Directory = std::unique_ptr<DIR, decltype([](DIR* dir) { ::closedir(dir); })>;

// All names in a store that a root could have; a store that is not there is an empty one.
Result<std::vector<std::string>> names_in(const std::string& store) {
  std::vector<std::string> names;
  const Directory directory(::opendir(store.c_str()));
  if (!directory) {
    if (errno == ENOENT || errno == ENOTDIR || errno == EACCES) return names;
    return fail_errno("reading " + shown(store));
  }
  while (const dirent* entry = ::readdir(directory.get()))
    if (is_name(entry->d_name)) names.emplace_back(entry->d_name);
  return names;
}

// Metadata informs and decides nothing: what cannot be read is left out.
std::vector<std::pair<std::string, std::string>> read_meta(const std::string& path) {
  std::vector<std::pair<std::string, std::string>> meta;
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!fd.valid()) return meta;
  std::string text(kLargestMeta_bytes, '\0');
  const ssize_t size = ::read(fd.get(), text.data(), text.size());
  text.resize(size < 0 ? 0 : static_cast<std::size_t>(size));
  for (const std::string_view line : split(text, '\n'))
    if (const std::size_t at = line.find('='); at != std::string_view::npos)
      meta.emplace_back(line.substr(0, at), line.substr(at + 1));
  return meta;
}

// A root that someone else can change would run that person's programs as the caller.
Result<std::string> checked(internal::Entry entry) {
  if (entry.owner != 0 && entry.owner != ::geteuid())
    return fail(ErrorKind::kDenied,
                "root filesystem " + quoted(entry.path) + " belongs to uid " + std::to_string(entry.owner) +
                    ": it must belong to root or to you (chown it, or name it by its path with --rootfs DIR)");
  if ((entry.mode & S_IWOTH) != 0)
    return fail(ErrorKind::kDenied, "root filesystem " + quoted(entry.path) + " can be written by everyone: chmod o-w it");
  return std::move(entry.path);
}

Failure not_found(std::string_view name, const Stores& stores) {
  std::vector<std::string> present;
  for (const std::string& store : stores)
    if (auto names = names_in(store)) present.insert(present.end(), names->begin(), names->end());
  std::vector<std::string_view> known(present.begin(), present.end());
  std::string message = "no root filesystem " + quoted(name) + " in " + join(stores, " or ");
  message += did_you_mean(name, known);
  if (const std::string_view script = nearest(name, kScripts); !script.empty()) {
    message += "; rootfs-scripts/" + std::string(script) + " makes " + (script == name ? "it" : quoted(script));
  } else {
    message += "; rootfs-scripts/ has the scripts that make them, such as rootfs-scripts/busybox --name " +
               (is_name(name) ? std::string(name) : "NAME");
  }
  return fail(ErrorKind::kInvalid, std::move(message));
}

// Nothing is also what a name gives that no root can have: it is in no store.
Result<std::optional<std::string>> find_present(std::string_view name, const Stores& stores) {
  if (!is_name(name)) return std::nullopt;
  for (const std::string& store : stores) {
    std::optional<internal::Entry> entry = TRY(internal::look_up(store, std::string(name)));
    // One link only: a link to a link could go round in circles.
    if (entry && !entry->link_name.empty()) entry = TRY(internal::look_up(store, entry->link_name));
    if (!entry || !entry->link_name.empty()) continue;
    std::string path = TRY(checked(std::move(*entry)));
    return path;
  }
  return std::nullopt;
}

}  // namespace

namespace internal {

Result<std::optional<Entry>> look_up(const std::string& store, const std::string& name) {
  Entry entry{.path = store + "/" + name, .link_name = {}};
  struct stat status = {};
  if (::lstat(entry.path.c_str(), &status) != 0) {
    if (errno == ENOENT || errno == ENOTDIR || errno == EACCES) return std::nullopt;
    return fail_errno(shown(entry.path));
  }
  entry.owner = status.st_uid;
  entry.mode = status.st_mode;
  if (S_ISLNK(status.st_mode)) {
    char target[kLongestName + 1];
    const ssize_t size = ::readlink(entry.path.c_str(), target, sizeof target);
    if (size <= 0 || !is_name({target, static_cast<std::size_t>(size)})) return std::nullopt;
    entry.link_name.assign(target, static_cast<std::size_t>(size));
  } else if (!S_ISDIR(status.st_mode)) {
    return std::nullopt;
  }
  return entry;
}

}  // namespace internal

Result<Stores> stores_of_caller() {
  Stores stores;
  if (const std::string_view chosen = environment("CLAWRUN_ROOTFS_STORE"); !chosen.empty()) {
    if (!chosen.starts_with('/'))
      return fail(ErrorKind::kInvalid, "CLAWRUN_ROOTFS_STORE is " + quoted(chosen) + ": it must be an absolute path");
    stores.emplace_back(chosen);
  }
  if (::geteuid() != 0)
    if (auto own = store_of_user()) stores.push_back(std::move(*own));
  stores.emplace_back(kSystemStore);
  return stores;
}

std::string_view Root::value(std::string_view key) const {
  for (const auto& [known, value] : meta)
    if (known == key) return value;
  return {};
}

bool is_name(std::string_view text) {
  return !text.empty() && text.size() <= kLongestName && text.front() != '.' && text.front() != '_' && text.front() != '-' &&
         !text.ends_with(kMetaSuffix) && std::ranges::all_of(text, is_name_character);
}

Result<std::string> find(std::string_view name, const Stores& stores) {
  if (!is_name(name) && name.find('/') != std::string_view::npos)
    return fail(ErrorKind::kInvalid, quoted(name) + " is a path, not the name of a root filesystem in the store");
  std::optional<std::string> path = TRY(find_present(name, stores));
  if (!path) return not_found(name, stores);
  return std::move(*path);
}

Result<std::optional<std::string>> find_default(const Stores& stores) {
  return find_present("default", stores);
}

Result<std::vector<Root>> list(const Stores& stores) {
  std::map<std::string, Root> roots;
  for (const std::string& store : stores) {
    const std::vector<std::string> names = TRY(names_in(store));
    for (const std::string& name : names) {
      if (roots.contains(name)) continue;  // an earlier store has it, and find() would give that one
      const std::optional<internal::Entry> entry = TRY(internal::look_up(store, name));
      if (!entry) continue;
      const std::string& target = entry->link_name.empty() ? name : entry->link_name;
      std::string path = store + "/" + target;
      auto meta = read_meta(path + std::string(kMetaSuffix));
      roots.emplace(name, Root{name, std::move(path), entry->link_name, std::move(meta)});
    }
  }
  std::vector<Root> sorted;
  sorted.reserve(roots.size());
  for (auto& [name, root] : roots) sorted.push_back(std::move(root));
  return sorted;
}

}  // namespace clawrun::rootfs
