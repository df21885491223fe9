#include "seccomp/cache.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>

#include "base/text.h"
#include "base/unique_fd.h"
#include "seccomp/builtin.h"
#include "seccomp/cache_file.h"
#include "seccomp/compile.h"

namespace clawrun::seccomp {

namespace {

// A file or directory that others can change is worth nothing, whatever it holds now.
bool is_ours(const struct stat& status) {
  return status.st_uid == geteuid() && (status.st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

std::string default_cache_base() {
  if (geteuid() == 0) return "/var/cache";
  const char* xdg = std::getenv("XDG_CACHE_HOME");
  if (xdg != nullptr && xdg[0] == '/') return xdg;  // a relative one is to be ignored: XDG base directory specification
  const char* home = std::getenv("HOME");
  if (home != nullptr && home[0] == '/') return std::string(home) + "/.cache";
  return {};
}

// `clawrun/seccomp` below the base, made where it is missing; an invalid fd where a part of it is not ours alone.
UniqueFd open_cache(const std::string& base) {
  if (base.empty()) return {};
  // The base may be a symlink of the user's own; what counts is who owns the two directories below it.
  if (geteuid() != 0) mkdir(base.c_str(), 0700);
  UniqueFd dir(open(base.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  for (const char* part : {"clawrun", "seccomp"}) {
    if (!dir.valid()) return {};
    mkdirat(dir.get(), part, 0700);
    UniqueFd next(openat(dir.get(), part, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    struct stat status {};
    if (!next.valid() || fstat(next.get(), &status) != 0 || !is_ours(status)) return {};
    dir = std::move(next);
  }
  return dir;
}

// Everything up to `limit` + 1 bytes, so that the caller sees what is too large.
Result<std::string> read_all(int fd, std::size_t limit, const std::string& path) {
  std::string text;
  char buffer[16384];
  while (text.size() <= limit) {
    const ssize_t got = read(fd, buffer, sizeof(buffer));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail_errno("reading " + quoted(path));
    if (got == 0) break;
    text.append(buffer, static_cast<std::size_t>(got));
  }
  return text;
}

std::optional<Compiled> read_cached(int dir, const std::string& name, const Hash& key) {
  // O_NONBLOCK: a FIFO planted there must not hold us up.
  const UniqueFd file(openat(dir, name.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK));
  struct stat status {};
  if (!file.valid() || fstat(file.get(), &status) != 0) return std::nullopt;
  if (!S_ISREG(status.st_mode) || !is_ours(status) || status.st_nlink != 1) return std::nullopt;
  const auto bytes = read_all(file.get(), kMaxCacheFileBytes, name);
  if (!bytes) return std::nullopt;
  return decode(*bytes, key);
}

bool write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

// Whole or not at all, over whatever stands there. A failure only means that the next start compiles again.
void write_cached(int dir, const std::string& name, std::string_view bytes) {
  const std::string temporary = "." + name + "." + std::to_string(getpid()) + "." + std::to_string(gettid());
  const UniqueFd file(openat(dir, temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!file.valid()) {
    if (errno == EEXIST) unlinkat(dir, temporary.c_str(), 0);  // left by a process of the same number that was killed
    return;
  }
  if (!write_all(file.get(), bytes) || renameat(dir, temporary.c_str(), dir, name.c_str()) != 0)
    unlinkat(dir, temporary.c_str(), 0);
}

Result<Compiled> load_file(const std::string& path, const LoadOptions& options) {
  const std::string json = TRY(read_profile_file(path));
  const Target target = native_target();
  const Hash key = cache_key(json, target);
  const std::string file = to_hex(key) + ".bpf";
  const UniqueFd cache = open_cache(options.cache_base.empty() ? default_cache_base() : options.cache_base);
  if (cache.valid()) {
    if (std::optional<Compiled> cached = read_cached(cache.get(), file, key)) {
      cached->name = path;
      return std::move(*cached);
    }
  }
  const std::string doing = "seccomp profile " + quoted(path);
  auto profile = parse_profile(json);
  if (!profile) return while_doing(doing, std::move(profile).error());
  auto compiled = compile_profile(*profile, path, target);
  if (!compiled) return while_doing(doing, std::move(compiled).error());
  if (cache.valid()) write_cached(cache.get(), file, encode(*compiled, key));
  return compiled;
}

}  // namespace

bool is_profile_file(std::string_view name_or_file) {
  return name_or_file.find('/') != std::string_view::npos || name_or_file.ends_with(".json");
}

Result<std::string> read_profile_file(const std::string& path) {
  const std::string doing = "seccomp profile " + quoted(path);
  if (path.find('\0') != std::string::npos) return fail(ErrorKind::kInvalid, doing + ": the name contains a zero byte");
  // O_NONBLOCK and O_NOCTTY: opening a FIFO or a terminal by mistake must not hang or take it over.
  const UniqueFd file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!file.valid()) return fail_errno(doing);
  struct stat status {};
  if (fstat(file.get(), &status) != 0) return fail_errno(doing);
  if (!S_ISREG(status.st_mode)) return fail(ErrorKind::kInvalid, doing + ": not a plain file");
  std::string text = TRY(read_all(file.get(), kMaxProfileBytes, path));
  if (text.size() > kMaxProfileBytes) return fail(ErrorKind::kInvalid, doing + ": larger than " + format_size(kMaxProfileBytes));
  return text;
}

Result<Compiled> load(std::string_view name_or_file, const LoadOptions& options) {
  if (const BuiltinProfile* builtin = find_builtin(name_or_file); builtin != nullptr) return to_compiled(*builtin);
  if (!is_profile_file(name_or_file)) return unknown_profile(name_or_file);
  return load_file(std::string(name_or_file), options);
}

Failure unknown_profile(std::string_view name) {
  const std::vector<std::string_view> names = builtin_names();
  std::string known;
  for (const std::string_view builtin : names) known += std::string(known.empty() ? "" : ", ") + std::string(builtin);
  return fail(ErrorKind::kUsage, "unknown seccomp profile " + quoted(name) + did_you_mean(name, names) + " (shipped: " + known +
                                     "; a file name contains a \"/\" or ends in \".json\")");
}

}  // namespace clawrun::seccomp
