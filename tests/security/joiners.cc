// Inside a container that has CAP_SYS_PTRACE: every process that joins is stopped as soon as it is there, and what could be taken
// from it is looked at.
#include <dirent.h>
#include <fcntl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "hostile.h"

namespace hostile {

namespace {

using Clock = std::chrono::steady_clock;

std::string line_of(const std::string& status, const std::string& name) {
  const std::size_t at = status.find("\n" + name + ":");
  if (at == std::string::npos) return {};
  const std::size_t begin = at + name.size() + 3;
  return status.substr(begin, status.find('\n', begin) - begin);
}

std::uint64_t set_of(const std::string& status, const std::string& name) {
  return std::strtoull(line_of(status, name).c_str(), nullptr, 16);
}

// Descriptors that are neither its standard streams nor the one socket of the start.
void look_at_descriptors(const std::string& place) {
  DIR* directory = ::opendir((place + "/fd").c_str());
  if (directory == nullptr) return;
  int sockets = 0;
  while (const dirent* entry = ::readdir(directory)) {
    if (entry->d_name[0] == '.' || std::atoi(entry->d_name) <= 2) continue;
    char target[4096] = {};
    if (::readlinkat(::dirfd(directory), entry->d_name, target, sizeof target - 1) < 0) continue;
    const std::string link = target;
    if (link.starts_with("socket:") && ++sockets == 1) continue;
    say("SEEN descriptor " + std::string(entry->d_name) + " -> " + link);
  }
  ::closedir(directory);
}

void look_at_root(const std::string& place) {
  struct stat own {};
  struct stat theirs {};
  if (::stat("/", &own) != 0 || ::stat((place + "/root/.").c_str(), &theirs) != 0) return;
  if (own.st_dev != theirs.st_dev || own.st_ino != theirs.st_ino) say("SEEN another root");
}

// In all that it may write: what it has read is there.
void look_into_memory(const std::string& place, const std::string& secret) {
  const int memory = ::open((place + "/mem").c_str(), O_RDONLY | O_CLOEXEC);
  if (memory < 0) return;
  const std::string maps = read_file(place + "/maps");
  std::vector<char> part;
  for (std::size_t at = 0; at < maps.size(); at = maps.find('\n', at) + 1) {
    std::uint64_t from = 0;
    std::uint64_t to = 0;
    char rights[5] = {};
    if (std::sscanf(maps.c_str() + at, "%" SCNx64 "-%" SCNx64 " %4s", &from, &to, rights) != 3 || rights[1] != 'w') continue;
    part.resize(std::min<std::uint64_t>(to - from, 1U << 22U));
    const ssize_t size = ::pread(memory, part.data(), part.size(), static_cast<off_t>(from));
    if (size > 0 && std::string_view(part.data(), static_cast<std::size_t>(size)).find(secret) != std::string_view::npos)
      say("SEEN the runtime's environment in its memory");
  }
  ::close(memory);
}

void look_at_rights(const std::string& own, const std::string& theirs) {
  const std::uint64_t allowed = set_of(own, "CapBnd");
  for (const char* set : {"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"})
    if ((set_of(theirs, set) & ~allowed) != 0) say("SEEN capabilities " + std::string(set) + line_of(theirs, set));
  for (const char* wall : {"Seccomp_filters", "NoNewPrivs", "Uid", "Groups"})
    if (line_of(theirs, wall) != line_of(own, wall)) say("SEEN " + std::string(wall) + line_of(theirs, wall));
}

// True: it is one of the runtime's, stopped before its exec.
bool look_at_joiner(pid_t pid, const std::string& own, const std::string& secret) {
  if (::ptrace(PTRACE_INTERRUPT, pid, nullptr, nullptr) != 0) return false;
  int status = 0;
  if (::waitpid(pid, &status, __WALL) != pid || !WIFSTOPPED(status)) return false;
  const std::string place = "/proc/" + std::to_string(pid);
  char exe[4096] = {};
  const bool early = ::readlink((place + "/exe").c_str(), exe, sizeof exe - 1) >= 0 && !std::string(exe).starts_with("/bin/");
  if (early) {
    look_at_rights(own, read_file(place + "/status"));
    look_at_descriptors(place);
    look_at_root(place);
    if (read_file(place + "/environ").find(secret) != std::string::npos) say("SEEN the runtime's environment");
    look_into_memory(place, secret);
  }
  ::ptrace(PTRACE_DETACH, pid, nullptr, nullptr);
  return early;
}

}  // namespace

// trace-joiners END BEGIN SECONDS: of a word of the runtime's environment, which its configuration must not have whole. "SEEN …" for
// each thing that is not the container's own, and then how many were stopped before their exec. By number: the next pid is known
// before anybody has it.
int trace_joiners(Words words) {
  if (words.size() != 3) return 64;
  const std::string secret = std::string(words[1]) + words[0];
  const auto until = Clock::now() + std::chrono::seconds(std::atoi(words[2]));
  const std::string own = read_file("/proc/self/status");
  constexpr pid_t kAhead = 8;
  pid_t last = ::getpid();
  int stopped = 0;
  say("ready");
  while (Clock::now() < until && ::access("/tmp/enough", F_OK) != 0) {
    for (int round = 0; round < 1000; ++round)
      for (pid_t pid = last + 1; pid <= last + kAhead; ++pid) {
        if (::ptrace(PTRACE_SEIZE, pid, nullptr, nullptr) != 0) continue;
        stopped += look_at_joiner(pid, own, secret) ? 1 : 0;
        last = pid;
        break;
      }
  }
  say("end, stopped " + std::to_string(stopped));
  return 0;
}

}  // namespace hostile
