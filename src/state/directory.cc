#include "state/directory.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>

#include "base/text.h"

namespace clawrun::state {

namespace {

constexpr const char* kLast = "sandboxes";
constexpr int kStep = O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;

UniqueFd open_step(int parent, const char* name, int flags) {
  UniqueFd fd(::openat(parent, name, flags | kStep));
  // Standard streams that the caller has closed must stay closed, or a sandbox would inherit this.
  if (fd.valid() && fd.get() <= 2) return UniqueFd(::fcntl(fd.get(), F_DUPFD_CLOEXEC, 3));
  return fd;
}

bool only_ours(int fd, std::uint32_t uid) {
  struct stat status {};
  return ::fstat(fd, &status) == 0 && status.st_uid == uid && (status.st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

Result<> make(int parent, const char* name, const std::string& path) {
  if (::mkdirat(parent, name, 0700) != 0) {
    if (errno == EEXIST) return {};
    return fail_errno("making " + shown(path));
  }
  // The caller's umask may have taken our own bits away.
  if (::fchmodat(parent, name, 0700, 0) != 0) return fail_errno("changing the mode of " + shown(path));
  return {};
}

// Invalid: there is none, which is no error where it is to be left so.
Result<UniqueFd> open_own(int parent, const char* name, const std::string& path, std::uint32_t uid, Missing missing) {
  const int flags = name == kLast ? O_RDONLY : O_PATH;
  UniqueFd fd = open_step(parent, name, flags);
  if (!fd.valid() && errno == ENOENT) {
    if (missing == Missing::kLeave) return fd;
    TRY(make(parent, name, path));
    fd = open_step(parent, name, flags);
  }
  if (!fd.valid()) return fail_errno("opening the directory " + shown(path));
  if (!only_ours(fd.get(), uid))
    return fail(ErrorKind::kDenied, shown(path) + " must belong to uid " + std::to_string(uid) +
                                        " and be writable by nobody else: remove it, or mend it with chown and chmod 700");
  return fd;
}

}  // namespace

std::vector<Place> places(std::uint32_t uid, const char* runtime_dir) {
  std::vector<Place> all;
  const std::string number = std::to_string(uid);
  if (uid == 0) all.push_back({"/run", "clawrun"});
  if (runtime_dir != nullptr && *runtime_dir == '/') all.push_back({runtime_dir, "clawrun"});
  all.push_back({"/run/user/" + number, "clawrun"});
  all.push_back({"/tmp", "clawrun-" + number, false});
  return all;
}

Result<Directory> open_directory(const std::vector<Place>& places, std::uint32_t uid, Missing missing) {
  for (const Place& place : places) {
    const UniqueFd base = open_step(AT_FDCWD, place.base.c_str(), O_PATH);
    if (!base.valid() || (place.own_base && !only_ours(base.get(), uid))) continue;
    const std::string path = place.base + "/" + place.name;
    UniqueFd ours = TRY(open_own(base.get(), place.name.c_str(), path, uid, Missing::kLeave));
    if (!ours.valid()) {
      // Where nothing can be made nothing will be found either: both go on to the next place.
      if (::faccessat(base.get(), ".", W_OK, AT_EACCESS) != 0) continue;
      if (missing == Missing::kLeave) return Directory{{}, path + "/" + kLast};
      ours = TRY(open_own(base.get(), place.name.c_str(), path, uid, missing));
    }
    UniqueFd last = TRY(open_own(ours.get(), kLast, path + "/" + kLast, uid, missing));
    return Directory{std::move(last), path + "/" + kLast};
  }
  return fail(ErrorKind::kDenied,
              "there is no directory for the records of sandboxes: $XDG_RUNTIME_DIR must be one that belongs to uid " +
                  std::to_string(uid) + " and is writable by nobody else");
}

void remove_spare(const std::string& path) {
  if (!path.starts_with("/tmp/clawrun-") || !path.ends_with("/sandboxes")) return;
  // Neither goes while somebody has a record in it.
  if (::rmdir(path.c_str()) == 0) ::rmdir(path.substr(0, path.rfind('/')).c_str());
}

Result<Directory> open_directory(Missing missing) {
  const auto uid = static_cast<std::uint32_t>(::geteuid());
  return open_directory(places(uid, ::getenv("XDG_RUNTIME_DIR")), uid, missing);
}

}  // namespace clawrun::state
