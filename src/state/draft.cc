#include "state/draft.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <utility>

#include "sys/sys.h"

namespace clawrun::state {

namespace {

constexpr mode_t kMode = 0600;

UniqueFd above_stdio(int fd) {
  UniqueFd owned(fd);
  if (fd >= 0 && fd <= 2) return UniqueFd(::fcntl(fd, F_DUPFD_CLOEXEC, 3));
  return owned;
}

std::string draft_name() {
  unsigned char bytes[8] = {};
  // O_EXCL settles it should two be the same: getrandom(2) fails where it is refused.
  if (::getrandom(bytes, sizeof bytes, 0) < 0) bytes[0] = static_cast<unsigned char>(::getpid());
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string name(1, kDraftMark);
  for (const unsigned char byte : bytes) {
    name += kHex[byte >> 4U];
    name += kHex[byte & 15U];
  }
  return name;
}

}  // namespace

Result<Draft> Draft::write(int directory, std::string_view text, DraftKind kind) {
  UniqueFd file;
  std::string name;
  if (kind == DraftKind::kUnnamed) file = above_stdio(::openat(directory, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, kMode));
  if (!file.valid()) {
    name = draft_name();
    file = above_stdio(::openat(directory, name.c_str(), O_CREAT | O_EXCL | O_NOFOLLOW | O_RDWR | O_CLOEXEC, kMode));
    if (!file.valid()) return fail_errno("making a file");
  }
  Draft draft(directory, std::move(file), std::move(name));
  if (::flock(draft.file_.get(), LOCK_EX | LOCK_NB) != 0) return fail_errno("locking a file");
  // The caller's umask may have taken our own bits away.
  if (::fchmod(draft.file_.get(), kMode) != 0) return fail_errno("changing the mode of a file");
  TRY(sys::write_all(draft.file_.get(), text));
  return draft;
}

Draft::~Draft() {
  if (file_.valid() && !name_.empty()) ::unlinkat(directory_, name_.c_str(), 0);
}

int Draft::link(const std::string& name) {
  if (!name_.empty()) return ::linkat(directory_, name_.c_str(), directory_, name.c_str(), 0) == 0 ? 0 : errno;
  // Allowed to the opener from Linux 6.10 on, before with CAP_DAC_READ_SEARCH, which answers ENOENT: linkat(2).
  if (::linkat(file_.get(), "", directory_, name.c_str(), AT_EMPTY_PATH) == 0) return 0;
  if (errno != ENOENT) return errno;
  const std::string path = "/proc/self/fd/" + std::to_string(file_.get());
  return ::linkat(AT_FDCWD, path.c_str(), directory_, name.c_str(), AT_SYMLINK_FOLLOW) == 0 ? 0 : errno;
}

int Draft::publish(const std::string& name) {
  if (const int error = link(name); error != 0) return error;
  if (const std::string old = std::exchange(name_, {}); !old.empty()) ::unlinkat(directory_, old.c_str(), 0);
  return 0;
}

}  // namespace clawrun::state
