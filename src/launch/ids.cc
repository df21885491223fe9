#include "launch/ids.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstring>

#include "base/text.h"
#include "child/clone.h"
#include "child/raw.h"
#include "sys/sys.h"

namespace clawrun::launch {

namespace {

constexpr std::uint32_t kBlockIds = 65536;
constexpr const char* kBlockDirectory = "/run/clawrun";
constexpr const char* kBlockFile = "/run/clawrun/id-blocks";

// One byte of a file stands for each block. The kernel gives a lock back when its holder dies, however it dies: fcntl(2)
// "open file description locks". The file itself is empty and stays.
Result<UniqueFd> claim_block(std::uint32_t first, std::uint32_t count, std::uint32_t* block) {
  if (::mkdir(kBlockDirectory, 0700) != 0 && errno != EEXIST) return fail_errno(std::string("making ") + kBlockDirectory);
  UniqueFd file = TRY(sys::open(kBlockFile, O_RDWR | O_CREAT | O_NOFOLLOW, 0600));
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::uint32_t candidate = (first + i) % count;
    struct flock lock {};
    lock.l_type = F_WRLCK;
    lock.l_whence = SEEK_SET;
    lock.l_start = candidate;
    lock.l_len = 1;
    if (::fcntl(file.get(), F_OFD_SETLK, &lock) == 0) {
      *block = candidate;
      return file;
    }
    if (errno != EAGAIN && errno != EACCES) return fail_errno(std::string("locking ") + kBlockFile);
  }
  return fail(ErrorKind::kUnsupported,
              "all " + std::to_string(count) + " blocks of 65536 host ids are in use by sandboxes; give a larger --uid-range");
}

}  // namespace

std::string as_text(const std::vector<plan::IdMapLine>& lines) {
  std::string text;
  for (const plan::IdMapLine& line : lines)
    text += std::to_string(line.inside) + " " + std::to_string(line.outside) + " " + std::to_string(line.count) + "\n";
  return text;
}

namespace {

// newuidmap(1), newgidmap(1): setuid programs that check /etc/subuid and /etc/subgid.
Result<> run_helper(const char* helper, pid_t pid, const std::vector<plan::IdMapLine>& lines) {
  std::vector<std::string> words{helper, std::to_string(pid)};
  for (const plan::IdMapLine& line : lines)
    for (const std::uint32_t number : {line.inside, line.outside, line.count}) words.push_back(std::to_string(number));
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  char path[] = "PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin";
  char* envp[] = {path, nullptr};
  pid_t child = -1;
  sigset_t none;
  sigemptyset(&none);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
  const int error = ::posix_spawnp(&child, helper, nullptr, &attributes, argv.data(), envp);
  posix_spawnattr_destroy(&attributes);
  if (error != 0)
    return fail(ErrorKind::kUnsupported,
                std::string("cannot run ") + helper + " (" + strerrordesc_np(error) + "): install the package uidmap");
  int status = 0;
  pid_t waited = 0;
  do {
    waited = ::waitpid(child, &status, 0);
  } while (waited < 0 && errno == EINTR);
  // The host ignores SIGCHLD, or waits for every child. What was not mapped the sandbox cannot become, and that is an error.
  if (waited < 0 && errno == ECHILD) return {};
  if (waited != child || status != 0)
    return fail(ErrorKind::kDenied, std::string(helper) + " refused the mapping: check /etc/subuid and /etc/subgid");
  return {};
}

std::string map_path(pid_t pid, const char* name) {
  return "/proc/" + std::to_string(pid) + "/" + name;
}

// The supervisor ends it; the kernel does where the supervisor was killed first: prctl(2) PR_SET_PDEATHSIG.
void wait_for_end(void* supervisor) {
  child::sys(__NR_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  if (child::sys(__NR_getppid) != *static_cast<const pid_t*>(supervisor)) child::sys(__NR_exit_group, 1);
  for (;;) child::sys(__NR_ppoll, nullptr, 0, nullptr, nullptr, 0);
}

}  // namespace

Result<HostIds> choose_ids(const plan::IdMaps& maps, pid_t pid) {
  HostIds ids{maps.uids, maps.gids, UniqueFd()};
  const auto number = static_cast<std::uint32_t>(pid);
  std::uint32_t outside = 0;
  if (maps.outside == plan::IdMaps::Outside::kFixed || maps.outside == plan::IdMaps::Outside::kOwn) return ids;
  if (maps.outside == plan::IdMaps::Outside::kPerProcess) {
    outside = maps.range_start + number % maps.range_count;
  } else {
    const std::uint32_t count = maps.range_count / kBlockIds;
    std::uint32_t block = 0;
    ids.block = TRY(claim_block(number % count, count, &block));
    outside = maps.range_start + block * kBlockIds;
  }
  for (plan::IdMapLine& line : ids.uids) line.outside = outside;
  for (plan::IdMapLine& line : ids.gids) line.outside = outside;
  return ids;
}

Result<> write_maps(const plan::IdMaps& maps, const HostIds& ids, pid_t pid) {
  if (maps.with_helpers) {
    TRY(run_helper("newuidmap", pid, ids.uids));
    return run_helper("newgidmap", pid, ids.gids);
  }
  TRY(sys::write_proc_file(map_path(pid, "uid_map"), as_text(ids.uids)));
  return sys::write_proc_file(map_path(pid, "gid_map"), as_text(ids.gids));
}

plan::Ownership host_owner(const plan::Plan& plan, const HostIds& ids) {
  const auto outside_of = [](const std::vector<plan::IdMapLine>& lines, std::uint32_t inside) {
    for (const plan::IdMapLine& line : lines)
      if (inside >= line.inside && inside - line.inside < line.count) return line.outside + (inside - line.inside);
    return lines[0].outside;
  };
  return {outside_of(ids.uids, plan.uid), outside_of(ids.gids, plan.gid), false};
}

Result<UniqueFd> ownership_namespace(const plan::Ownership& ownership, const plan::Plan& plan, const HostIds& ids) {
  const plan::Ownership host = host_owner(plan, ids);
  std::vector<plan::IdMapLine> uids{{ownership.uid, host.uid, 1}};
  std::vector<plan::IdMapLine> gids{{ownership.gid, host.gid, 1}};
  if (ownership.whole_range) {
    uids = ids.uids;
    gids = ids.gids;
  }
  return mapped_namespace(uids, gids);
}

Result<UniqueFd> mapped_namespace(const std::vector<plan::IdMapLine>& uids, const std::vector<plan::IdMapLine>& gids) {
  // A process that does nothing carries the namespace until it has been opened. It shares our memory and runs no line of
  // C++, so it costs no copy of a large host. Its end sends no signal, so no wait(2) of the host takes it for a child of its own.
  constexpr std::size_t kStackBytes = 16384;
  void* stack = ::mmap(nullptr, kStackBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
  if (stack == MAP_FAILED) return fail_errno("mapping a stack");
  pid_t self = ::getpid();
  const long pid = clawrun_clone(CLONE_VM | CLONE_NEWUSER, static_cast<char*>(stack) + kStackBytes, nullptr, wait_for_end, &self);
  Result<UniqueFd> result = fail_errno("making a user namespace for an id-mapped mount", static_cast<int>(-pid));
  if (pid > 0) {
    const auto child = static_cast<pid_t>(pid);
    auto written = sys::write_proc_file(map_path(child, "uid_map"), as_text(uids));
    if (written) written = sys::write_proc_file(map_path(child, "gid_map"), as_text(gids));
    result = written ? sys::open(map_path(child, "ns/user"), O_RDONLY) : Result<UniqueFd>(std::unexpected(written.error()));
    ::kill(child, SIGKILL);
    while (::waitpid(child, nullptr, __WALL) < 0 && errno == EINTR) {
    }
  }
  ::munmap(stack, kStackBytes);
  return result;
}

}  // namespace clawrun::launch
