#include "state/process.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "base/text.h"
#include "sys/sys.h"

namespace clawrun::state {

namespace {

constexpr auto kPidFsMagic = 0x50494446;  // linux/magic.h of Linux 6.9

bool has_ended(const Stat& stat) {
  return stat.condition == 'Z' || stat.condition == 'X';
}

// 0 where pidfds have no file system of their own: then all have the same inode.
Result<std::uint64_t> pidfd_inode(pid_t pid) {
  const UniqueFd pidfd = TRY(sys::pidfd_open(pid));
  struct statfs system {};
  struct stat info {};
  if (::fstatfs(pidfd.get(), &system) != 0 || system.f_type != kPidFsMagic) return 0;
  if (::fstat(pidfd.get(), &info) != 0) return fail_errno("looking at a pidfd");
  return info.st_ino;
}

}  // namespace

Result<Stat> parse_stat(std::string_view text) {
  constexpr std::size_t kCondition = 3;  // fields are counted from 1
  constexpr std::size_t kTimes = 14;     // user, system, and both of the children
  constexpr std::size_t kStart = 22;
  const auto bad = [] { return fail(ErrorKind::kSystem, "/proc/PID/stat is not as proc_pid_stat(5) has it"); };
  const std::size_t name_end = text.rfind(") ");
  if (name_end == std::string_view::npos) return bad();
  const auto fields = split(text.substr(name_end + 2), ' ');
  if (fields.size() <= kStart - kCondition || fields[0].size() != 1) return bad();
  const auto field = [&](std::size_t number) { return parse_unsigned(fields[number - kCondition]); };
  const auto start = field(kStart);
  if (!start) return bad();
  Stat stat{.condition = fields[0][0], .start_ticks = *start};
  stat.user_ticks = field(kTimes).value_or(0) + field(kTimes + 2).value_or(0);
  stat.system_ticks = field(kTimes + 1).value_or(0) + field(kTimes + 3).value_or(0);
  return stat;
}

Result<Stat> read_stat(pid_t pid) {
  const std::string path = "/proc/" + std::to_string(pid) + "/stat";
  const auto none = [&] { return fail(ErrorKind::kNotFound, "there is no process " + std::to_string(pid)); };
  if (pid <= 0) return none();
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
  if (!file.valid()) {
    if (errno != ENOENT) return fail_errno("opening " + path);
    // Only where /proc is there does a missing file mean a missing process.
    if (::access("/proc/self/stat", F_OK) == 0) return none();
    return fail_errno("opening " + path, ENOENT);
  }
  char text[1024];
  const ssize_t size = ::read(file.get(), text, sizeof text);
  if (size < 0 && errno == ESRCH) return none();
  if (size < 0) return fail_errno("reading " + path);
  return parse_stat({text, static_cast<std::size_t>(size)});
}

bool is_gone(const Error& error) {
  return error.errno_value == ESRCH || error.errno_value == EINVAL || error.errno_value == ENOENT;
}

std::string to_json(const Process& process) {
  std::string text = R"({"pid":)" + std::to_string(process.pid) + R"(,"start_ticks":)" + std::to_string(process.start_ticks);
  if (process.pidfd_inode != 0) text += R"(,"pidfd_inode":)" + std::to_string(process.pidfd_inode);
  return text += "}";
}

Result<Process> identify(pid_t pid) {
  const Stat stat = TRY(read_stat(pid));
  if (has_ended(stat)) return fail(ErrorKind::kNotFound, "process " + std::to_string(pid) + " has ended");
  return Process{pid, stat.start_ticks, pidfd_inode(pid).value_or(0)};
}

bool is_alive(const Process& process) {
  if (process.pid <= 0 || process.start_ticks == 0) return false;
  const auto stat = read_stat(process.pid);
  if (!stat) return stat.error().kind != ErrorKind::kNotFound;
  if (has_ended(*stat) || stat->start_ticks != process.start_ticks) return false;
  if (process.pidfd_inode == 0) return true;
  // After the rest: who has the inode now had the number then.
  const auto inode = pidfd_inode(process.pid);
  if (!inode) return !is_gone(inode.error());
  return *inode == 0 || *inode == process.pidfd_inode;
}

}  // namespace clawrun::state
