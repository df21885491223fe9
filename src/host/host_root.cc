// The entries of the host that the `host` root shows to a sandbox.
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <climits>
#include <optional>
#include <string_view>

#include "base/unique_fd.h"
#include "host/facts.h"

namespace clawrun::host {

namespace {

// On a merged /usr the first six are symbolic links, on an older layout directories of their own. /nix and /gnu hold the
// programs that the links of /bin and /usr/bin lead to on such hosts; nothing in their stores is secret by design.
constexpr std::string_view kTop[] = {"bin", "sbin", "lib", "lib32", "lib64", "libx32", "usr", "nix/store", "gnu/store"};

// What loaders, compilers and language runtimes below /usr read in /etc, and nothing that names this host or its users
// or may hold a password: no gitconfig, npmrc, pip.conf, php.ini, settings.xml, no ssl/private, no pki/tls/private. Each
// row is a mount, some 20 us of every start: what programs do without is left out.
constexpr std::string_view kEtc[] = {
    "alpine-release",
    "alternatives",
    "crypto-policies",
    "fonts",
    "java",
    "ld-musl-aarch64.path",
    "ld-musl-x86_64.path",
    "ld.so.cache",
    "localtime",
    "mime.types",
    "os-release",
    "pki/ca-trust/extracted",
    "pki/java",
    "pki/tls/cert.pem",
    "pki/tls/certs",
    "pki/tls/openssl.cnf",
    "protocols",
    "services",
    "ssl/ca-bundle.pem",
    "ssl/cert.pem",
    "ssl/certs",
    "ssl/openssl.cnf",
};

// Names with a version in them, matched while /etc is listed.
struct Pattern {
  std::string_view prefix;
  std::string_view suffix;
};
constexpr Pattern kEtcPatterns[] = {{"java-", "-openjdk"}, {"python3.", ""}};

std::optional<HostEntry::Kind> kind_of(mode_t mode) {
  switch (mode & S_IFMT) {
    case S_IFDIR:
      return HostEntry::Kind::kDirectory;
    case S_IFREG:
      return HostEntry::Kind::kFile;
    case S_IFLNK:
      return HostEntry::Kind::kSymlink;
    default:
      return std::nullopt;
  }
}

void add(int directory_fd, std::string_view directory, std::string_view name, std::vector<HostEntry>& out) {
  const std::string relative(name);
  struct stat status {};
  if (fstatat(directory_fd, relative.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) return;
  const auto kind = kind_of(status.st_mode);
  if (!kind) return;
  HostEntry entry{.path = std::string(directory) + relative, .kind = *kind, .link_target = {}};
  if (*kind == HostEntry::Kind::kSymlink) {
    std::array<char, PATH_MAX> target{};
    const ssize_t length = readlinkat(directory_fd, relative.c_str(), target.data(), target.size());
    if (length <= 0) return;
    entry.link_target.assign(target.data(), static_cast<std::size_t>(length));
  }
  out.push_back(std::move(entry));
}

bool wanted_in_etc(std::string_view name) {
  if (std::ranges::binary_search(kEtc, name)) return true;
  return std::ranges::any_of(kEtcPatterns, [name](const Pattern& pattern) {
    return name.starts_with(pattern.prefix) && name.ends_with(pattern.suffix);
  });
}

void add_etc(std::vector<HostEntry>& out) {
  UniqueFd fd(open("/etc", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.valid()) return;
  for (const std::string_view name : kEtc)
    if (name.find('/') != std::string_view::npos) add(fd.get(), "/etc/", name, out);
  DIR* listing = fdopendir(fd.get());
  if (listing == nullptr) return;
  const int directory_fd = fd.release();  // closed by closedir
  // NOLINTNEXTLINE(concurrency-mt-unsafe): no other thread has this stream, which is all that readdir(3) asks
  while (const dirent* entry = readdir(listing))
    if (wanted_in_etc(entry->d_name)) add(directory_fd, "/etc/", entry->d_name, out);
  closedir(listing);
}

static_assert(std::ranges::is_sorted(kEtc), "searched by halves");

}  // namespace

std::vector<HostEntry> host_root_entries() {
  std::vector<HostEntry> entries;
  entries.reserve(48);
  const UniqueFd root(open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (root.valid())
    for (const std::string_view name : kTop) add(root.get(), "/", name, entries);
  add_etc(entries);
  // A parent is a prefix of its children and sorts before them.
  std::ranges::sort(entries, {}, &HostEntry::path);
  return entries;
}

}  // namespace clawrun::host
