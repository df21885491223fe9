#include <linux/openat2.h>
#include <sys/stat.h>

#include "child/internal.h"

namespace clawrun::child {

namespace {

constexpr std::size_t kPathMax = 4096;
constexpr int kMaxLinks = 40;  // as the kernel: path_resolution(7)
constexpr long kEloop = -40;
constexpr long kEnametoolong = -36;
constexpr long kEnotdir = -20;
constexpr long kEexist = -17;

// The walk in user space, for kernels and service managers that refuse openat2 (systemd's RestrictSUIDSGID= answers ENOSYS).
// Nothing else runs in this mount namespace while the root is built, and a bind mount that the host changes meanwhile can
// only make a step fail: every step is an O_PATH|O_NOFOLLOW open of one name below a directory already held open.
class Walker {
 public:
  Walker(int base, bool no_follow) : base_(base), no_follow_(no_follow) {}

  int run(const char* target) {
    if (!push(target)) return static_cast<int>(kEnametoolong);
    int current = reopen(base_);
    while (current >= 0 && next_part()) {
      const int found = step(current);
      sys(__NR_close, current);
      current = found;
    }
    return current;
  }

 private:
  static int reopen(int fd) { return static_cast<int>(sys(__NR_openat, fd, ".", O_PATH | O_DIRECTORY | O_CLOEXEC)); }

  // Puts `text` in front of what is still to be walked.
  bool push(const char* text) {
    const std::size_t text_size = length_of(text);
    const std::size_t rest_size = length_of(rest_);
    if (text_size + rest_size + 2 > kPathMax) return false;
    // The rest lies in the same buffer, before or behind where it goes.
    char* const moved = pending_ + text_size + 1;
    if (moved > rest_)
      for (std::size_t i = rest_size + 1; i-- > 0;) moved[i] = rest_[i];
    else
      for (std::size_t i = 0; i <= rest_size; ++i) moved[i] = rest_[i];
    for (std::size_t i = 0; i < text_size; ++i) pending_[i] = text[i];
    pending_[text_size] = '/';
    rest_ = pending_;
    return true;
  }

  bool next_part() {
    while (*rest_ == '/') ++rest_;
    std::size_t size = 0;
    while (*rest_ != '\0' && *rest_ != '/') {
      if (size + 1 >= sizeof part_) return true;  // too long a name: openat answers ENAMETOOLONG
      part_[size++] = *rest_++;
    }
    part_[size] = '\0';
    while (*rest_ == '/') ++rest_;
    return size != 0;
  }

  bool is_base(int fd) const {
    struct stat a {};
    struct stat b {};
    return sys(__NR_newfstatat, fd, "", &a, AT_EMPTY_PATH) == 0 && sys(__NR_newfstatat, base_, "", &b, AT_EMPTY_PATH) == 0 &&
           a.st_dev == b.st_dev && a.st_ino == b.st_ino;
  }

  int step(int current) {
    if (equal(part_, ".")) return reopen(current);
    if (equal(part_, "..") && is_base(current)) return reopen(current);
    const int found = static_cast<int>(sys(__NR_openat, current, part_, O_PATH | O_NOFOLLOW | O_CLOEXEC));
    if (found < 0) return found;
    struct stat info {};
    const long answer = sys(__NR_newfstatat, found, "", &info, AT_EMPTY_PATH);
    if (answer < 0 || !S_ISLNK(info.st_mode)) return answer < 0 ? static_cast<int>(answer) : found;
    const int followed = follow(current, found);
    sys(__NR_close, found);
    return followed;
  }

  int follow(int current, int link) {
    if (++links_ > kMaxLinks || (no_follow_ && *rest_ == '\0')) return static_cast<int>(kEloop);
    char text[kPathMax];
    const long size = sys(__NR_readlinkat, link, "", text, sizeof text - 1);
    if (size < 0) return static_cast<int>(size);
    text[size] = '\0';
    if (!push(text)) return static_cast<int>(kEnametoolong);
    return text[0] == '/' ? reopen(base_) : reopen(current);
  }

  int base_;
  bool no_follow_;
  int links_ = 0;
  char pending_[kPathMax] = {};
  const char* rest_ = pending_;
  char part_[257] = {};  // one more than a name may have, so that a longer one is seen to be too long
};

}  // namespace

std::size_t length_of(const char* text) {
  std::size_t size = 0;
  while (text[size] != '\0') ++size;
  return size;
}

bool equal(const char* a, const char* b) {
  while (*a != '\0' && *a == *b) {
    ++a;
    ++b;
  }
  return *a == *b;
}

int open_in_root(int base, const char* target, Walk walk) {
  if (*target == '\0') return static_cast<int>(sys(__NR_openat, base, ".", O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!walk.has_openat2) return Walker(base, walk.no_follow).run(target);
  open_how how{};
  how.flags = O_PATH | O_CLOEXEC | (walk.no_follow ? O_NOFOLLOW : 0);
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
  long fd = 0;
  do {
    // EAGAIN: a rename elsewhere raced with a ".." of the walk: openat2(2)
    fd = sys(__NR_openat2, base, target, &how, sizeof how);
  } while (fd == -11 || fd == kEintr);
  if (fd < 0 || !walk.no_follow) return static_cast<int>(fd);
  struct stat info {};  // O_PATH|O_NOFOLLOW opens the link itself
  if (sys(__NR_newfstatat, fd, "", &info, AT_EMPTY_PATH) == 0 && S_ISLNK(info.st_mode)) {
    sys(__NR_close, fd);
    return static_cast<int>(kEloop);
  }
  return static_cast<int>(fd);
}

int open_parent_in_root(int base, const char* target, bool has_openat2, const char** last) {
  char name[kPathMax];
  if (length_of(target) >= sizeof name) return static_cast<int>(kEnametoolong);
  int current = open_in_root(base, "", {});
  // Every prefix is resolved from the base again, so that links on the way stay inside, and made where it is missing.
  std::size_t end = 0;
  const char* part = target;
  for (; current >= 0; ++end) {
    if (target[end] == '\0') break;
    name[end] = target[end];
    if (target[end] != '/') continue;
    name[end] = '\0';
    int next = open_in_root(base, name, {.has_openat2 = has_openat2});
    if (next == kEnoent) {
      char single[256];
      std::size_t size = 0;
      for (; part[size] != '/' && size + 1 < sizeof single; ++size) single[size] = part[size];
      single[size] = '\0';
      const long made = sys(__NR_mkdirat, current, single, 0755);
      next = made < 0 && made != kEexist ? static_cast<int>(made) : open_in_root(base, name, {.has_openat2 = has_openat2});
    }
    sys(__NR_close, current);
    current = next;
    name[end] = '/';
    part = target + end + 1;
  }
  if (current >= 0 && *part == '\0') {
    sys(__NR_close, current);
    return static_cast<int>(kEnotdir);
  }
  *last = part;
  return current;
}

}  // namespace clawrun::child
