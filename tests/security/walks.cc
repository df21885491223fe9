#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <set>
#include <vector>

#include "hostile.h"

namespace hostile {

namespace {

struct Found {
  std::string path;
  mode_t mode = 0;
};

// Every entry below `top`, links not followed, at most `depth` levels down. Directories of single tasks repeat what their
// process shows.
void walk(const std::string& top, int depth, std::vector<Found>& found) {
  DIR* listing = ::opendir(top.c_str());
  if (listing == nullptr) return;
  while (const dirent* entry = ::readdir(listing)) {
    const std::string_view name = entry->d_name;
    if (name == "." || name == ".." || name == "task" || name == "map_files") continue;
    std::string path = top + (top.ends_with('/') ? "" : "/") + std::string(name);
    struct stat info {};
    if (::lstat(path.c_str(), &info) != 0) continue;
    if (S_ISDIR(info.st_mode) && depth > 0) walk(path, depth - 1, found);
    found.push_back({std::move(path), info.st_mode});
  }
  ::closedir(listing);
}

bool is_of_a_process(const std::string& path) {
  if (path.starts_with("/proc/self/") || path.starts_with("/proc/thread-self/")) return true;
  return path.starts_with("/proc/") && path.size() > 6 && path[6] >= '0' && path[6] <= '9';
}

constexpr int kAllLevels = 40;

}  // namespace

// Writes to whatever can be opened for writing below the directories given; names what took it. Files of the own processes
// are tried too and not named: they change nothing but the sandbox.
int write_everywhere(Words tops) {
  std::size_t tried = 0;
  for (const char* top : tops) {
    std::vector<Found> found;
    walk(top, kAllLevels, found);
    for (const Found& one : found) {
      if (!S_ISREG(one.mode)) continue;
      ++tried;
      for (const int flags : {O_WRONLY, O_RDWR, O_WRONLY | O_TRUNC}) {
        const int fd = ::open(one.path.c_str(), flags | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
        if (fd < 0) continue;
        const bool took = !one.path.ends_with("/mem") && ::write(fd, "0\n", 2) > 0;
        ::close(fd);
        if (!is_of_a_process(one.path)) say(std::string(took ? "WROTE " : "OPENED ") + one.path);
      }
    }
  }
  say("tried " + std::to_string(tried));
  return 0;
}

// search-proc TEXT: everything that can be read below /proc and /sys, for a text that should not be there.
int search_proc(Words words) {
  if (words.empty()) return 64;
  // Given the other way round, so that our own arguments are no hit.
  const std::string_view given = words[0];
  const std::string text(given.rbegin(), given.rend());
  std::size_t readable = 0;
  for (const char* top : {"/proc", "/sys"}) {
    std::vector<Found> found;
    walk(top, kAllLevels, found);
    for (const Found& one : found) {
      std::string content;
      if (S_ISREG(one.mode) && !one.path.ends_with("/mem")) content = read_file(one.path);
      if (S_ISLNK(one.mode)) {
        char target[4096];
        const ssize_t size = ::readlink(one.path.c_str(), target, sizeof target);
        if (size > 0) content.assign(target, static_cast<std::size_t>(size));
      }
      if (!content.empty()) ++readable;
      if (content.find(text) != std::string::npos) say("FOUND " + one.path);
    }
  }
  say("readable " + std::to_string(readable));
  return 0;
}

// look-at PATH…: whether each can be opened and read, or its link be read.
int look_at(Words paths) {
  for (const char* path : paths) {
    struct stat info {};
    long result = checked(::lstat(path, &info));
    if (result >= 0 && S_ISLNK(info.st_mode)) {
      char target[4096];
      result = checked(::readlink(path, target, sizeof target));
    } else if (result >= 0) {
      const int fd = ::open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY | (S_ISDIR(info.st_mode) ? O_DIRECTORY : 0));
      char byte = 0;
      result = fd < 0 ? -errno : S_ISDIR(info.st_mode) ? 0 : checked(::read(fd, &byte, 1));
      if (fd >= 0) ::close(fd);
      // An empty file tells nothing: what is masked reads like that.
      if (result == 0 && !S_ISDIR(info.st_mode)) result = -ENODATA;
      DIR* listing = result == 0 ? ::opendir(path) : nullptr;
      if (listing != nullptr) {
        int entries = 0;
        while (::readdir(listing) != nullptr) ++entries;
        ::closedir(listing);
        if (entries <= 2) result = -ENODATA;
      }
    }
    say(std::string(path) + " " + outcome(result));
  }
  return 0;
}

// Directories in which a file can be made, and files that can be opened for writing, outside of /proc.
int writable_places(Words) {
  std::vector<Found> found;
  walk("/", kAllLevels, found);
  std::set<std::string> places;
  for (const Found& one : found) {
    if (one.path.starts_with("/proc/") || one.path.starts_with("/dev/pts/")) continue;
    if (S_ISDIR(one.mode)) {
      const std::string name = one.path + "/.written";
      const int fd = ::open(name.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
      if (fd < 0) continue;
      ::close(fd);
      ::unlink(name.c_str());
      places.insert(one.path + "/");
    } else if (S_ISREG(one.mode)) {
      const int fd = ::open(one.path.c_str(), O_WRONLY | O_CLOEXEC | O_NOCTTY);
      if (fd < 0) continue;
      ::close(fd);
      places.insert(one.path);
    }
  }
  for (const std::string& place : places) say(place);
  return 0;
}

// Every descriptor that is open in this process, and what it is.
int descriptors(Words) {
  for (int fd = 0; fd < 65536; ++fd) {
    if (::fcntl(fd, F_GETFD) < 0) continue;
    struct stat info {};
    ::fstat(fd, &info);
    say(std::to_string(fd) + (S_ISDIR(info.st_mode) ? " directory" : " other"));
  }
  return 0;
}

namespace {

long fill_bytes(const std::string& directory, std::string* end) {
  static char block[1 << 16];
  std::memset(block, 'x', sizeof block);
  const int fd = ::open((directory + "/big").c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
  long written = 0;
  ssize_t size = 0;
  while (fd >= 0 && written < (8L << 30) && (size = ::write(fd, block, sizeof block)) > 0) written += size;
  *end = outcome(fd < 0 || size < 0 ? -errno : 0);
  if (fd >= 0) ::close(fd);
  ::unlink((directory + "/big").c_str());
  return written;
}

long fill_inodes(const std::string& directory, std::string* end) {
  long made = 0;
  long result = 0;
  while (made < 2'000'000 && result >= 0) {
    const std::string name = directory + "/" + std::to_string(made);
    const int fd = ::open(name.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
    result = fd < 0 ? -errno : 0;
    if (fd >= 0) {
      ::close(fd);
      ++made;
    }
  }
  *end = outcome(result);
  for (long i = 0; i < made; ++i) ::unlink((directory + "/" + std::to_string(i)).c_str());
  return made;
}

}  // namespace

// fill bytes|inodes DIR…: writes until it is refused; "DIR AMOUNT OUTCOME". What was written is removed again.
int fill(Words words) {
  if (words.empty()) return 64;
  const bool bytes = std::strcmp(words[0], "bytes") == 0;
  for (const char* directory : words.subspan(1)) {
    std::string end;
    const long amount = bytes ? fill_bytes(directory, &end) : fill_inodes(directory, &end);
    say(std::string(directory) + " " + std::to_string(amount) + " " + end);
  }
  return 0;
}

}  // namespace hostile
