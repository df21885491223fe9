#include "container/confine.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <sched.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "base/text.h"
#include "sys/sys.h"
#include "tables/capabilities.h"

namespace clawrun::container {

namespace {

constexpr std::size_t kMaxPasswdBytes = std::size_t{4} << 20U;

// Where openat2(2) is refused: one name at a time.
Result<UniqueFd> open_below(int base, const std::string& path, int flags) {
  open_how how{};
  how.flags = static_cast<__u64>(flags) | O_CLOEXEC;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS;
  const long fd = ::syscall(SYS_openat2, base, path.c_str(), &how, sizeof how);
  if (fd >= 0) return UniqueFd(static_cast<int>(fd));
  if (errno != ENOSYS && errno != EPERM) return fail_errno("/proc/" + path);
  UniqueFd current(::fcntl(base, F_DUPFD_CLOEXEC, 3));
  const auto parts = split(path, '/');
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const bool last = i + 1 == parts.size();
    // "self" is a link by nature, and of the kernel's making.
    const int follow = parts[i] == "self" && i == 0 ? 0 : O_NOFOLLOW;
    UniqueFd next(::openat(current.get(), std::string(parts[i]).c_str(), (last ? flags : O_PATH) | follow | O_CLOEXEC));
    if (!next.valid()) return fail_errno("/proc/" + path);
    current = std::move(next);
  }
  struct statfs info {};
  if (::fstatfs(current.get(), &info) != 0 || info.f_type != PROC_SUPER_MAGIC)
    return fail(ErrorKind::kDenied, "/proc/" + path + " is not the kernel's");
  return current;
}

// '/' for each dot, and a dot for each '/': sysctl(8).
std::string path_of_sysctl(std::string key) {
  for (char& c : key) c = c == '.' ? '/' : c == '/' ? '.' : c;
  return key;
}

bool is_host_namespace(const std::string& path, const char* own) {
  struct stat a {};
  struct stat b {};
  return ::stat(path.c_str(), &a) == 0 && ::stat(own, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

Result<> drop_bounding(std::uint64_t keep) {
  for (unsigned cap = 0;; ++cap) {
    const int held = ::prctl(PR_CAPBSET_READ, cap, 0, 0, 0);
    if (held < 0) return {};  // EINVAL: the kernel has no more
    if (held == 0 || (cap < 64 && (keep >> cap & 1U) != 0)) continue;
    if (::prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) != 0) return fail_errno("dropping a capability from the bounding set");
  }
}

Result<> set_capabilities(const oci::Capabilities& wanted) {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, 2> data{};
  for (unsigned half = 0; half < 2; ++half) {
    data[half].effective = static_cast<std::uint32_t>(wanted.effective >> (32 * half));
    data[half].permitted = static_cast<std::uint32_t>(wanted.permitted >> (32 * half));
    data[half].inheritable = static_cast<std::uint32_t>(wanted.inheritable >> (32 * half));
  }
  (void)::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  if (::syscall(SYS_capset, &header, data.data()) != 0) {
    const int error = errno;
    std::array<__user_cap_data_struct, 2> held{};
    (void)::syscall(SYS_capget, &header, held.data());
    std::string missing;
    for (unsigned cap = 0; cap < tables::kCapabilities.size(); ++cap)
      if ((wanted.permitted >> cap & 1U) != 0 && (held[cap / 32].permitted >> (cap % 32) & 1U) == 0)
        missing += (missing.empty() ? "" : ", ") + ("CAP_" + std::string(tables::kCapabilities[cap]));
    return fail_errno("unable to apply caps" + (missing.empty() ? "" : " (the runtime itself does not have " + missing + ")"),
                      error);
  }
  // One that is not inheritable and permitted cannot be ambient: capabilities(7). The field's own default configurations ask for
  // such, and runc leaves them out.
  const std::uint64_t ambient = wanted.ambient & wanted.inheritable & wanted.permitted;
  for (unsigned cap = 0; cap < 64; ++cap)
    if ((ambient >> cap & 1U) != 0 && ::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0) != 0)
      return fail_errno("raising an ambient capability");
  return {};
}

Result<std::vector<unsigned>> parse_list(const std::string& list) {
  std::vector<unsigned> numbers;
  for (const std::string_view part : split(list, ',')) {
    const std::size_t dash = part.find('-');
    const auto first = TRY(parse_unsigned(part.substr(0, dash), 8191));
    const auto last = dash == std::string_view::npos ? first : TRY(parse_unsigned(part.substr(dash + 1), 8191));
    for (auto number = first; number <= last; ++number) numbers.push_back(static_cast<unsigned>(number));
  }
  return numbers;
}

// The image's own, whatever it is: a FIFO or a device there must not stop us.
std::string read_passwd() {
  const UniqueFd fd(::open("/etc/passwd", O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  struct stat info {};
  if (!fd.valid() || ::fstat(fd.get(), &info) != 0 || !S_ISREG(info.st_mode)) return {};
  std::string text(std::min(static_cast<std::size_t>(info.st_size), kMaxPasswdBytes), '\0');
  const ssize_t size = ::read(fd.get(), text.data(), text.size());
  text.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
  return text;
}

}  // namespace

Result<Proc> Proc::open() {
  Proc proc;
  proc.fd_ = TRY(sys::open("/proc", O_PATH | O_DIRECTORY));
  struct statfs info {};
  if (::fstatfs(proc.fd_.get(), &info) != 0) return fail_errno("looking at /proc");
  if (info.f_type != PROC_SUPER_MAGIC) return fail(ErrorKind::kUnsupported, "/proc is not a procfs, and the runtime needs one");
  return proc;
}

Result<> Proc::write(const std::string& path, std::string_view text) const {
  const UniqueFd fd = TRY(open_below(fd_.get(), path, O_WRONLY));
  const ssize_t size = ::write(fd.get(), text.data(), text.size());
  if (size < 0) return fail_errno("write /proc/" + path);
  return {};
}

Result<> Proc::write_self(const std::string& path, std::string_view text) const {
  return write("self/" + path, text);
}

Result<> check_sysctls(const oci::Config& config) {
  for (const oci::Namespace& row : config.linux.namespaces) {
    if (row.flag != CLONE_NEWNET || row.path.empty() || !is_host_namespace(row.path, "/proc/self/ns/net")) continue;
    for (const auto& [key, value] : config.linux.sysctl)
      if (key.starts_with("net."))
        return fail(ErrorKind::kInvalid, "sysctl " + quoted(key) + " not allowed in host network namespace");
  }
  return {};
}

Result<> write_sysctls(const Proc& proc, const oci::Config& config) {
  for (const auto& [key, value] : config.linux.sysctl)
    if (auto written = proc.write("sys/" + path_of_sysctl(key), value); !written)
      return while_doing("setting the sysctl " + quoted(key), written.error());
  return {};
}

Result<> label_next_exec(const Proc& proc, const oci::Process& process) {
  if (!process.apparmor_profile.empty()) {
    const std::string text = "exec " + process.apparmor_profile;
    auto written = proc.write_self("attr/apparmor/exec", text);
    if (!written && written.error().errno_value == ENOENT) written = proc.write_self("attr/exec", text);
    if (!written)
      return while_doing(
          "apply apparmor profile " + quoted(process.apparmor_profile) + " (is AppArmor on, and the profile loaded?)",
          written.error());
  }
  if (!process.selinux_label.empty()) {
    if (::access("/sys/fs/selinux", F_OK) != 0 && ::access("/proc/self/attr/exec", F_OK) != 0)
      return fail(ErrorKind::kUnsupported, "process.selinuxLabel: SELinux is not on here");
    if (auto written = proc.write_self("attr/exec", process.selinux_label); !written)
      return while_doing("process.selinuxLabel (is SELinux on?)", written.error());
  }
  return {};
}

Result<> set_io_priority(const oci::Process& process) {
  if (!process.io_priority) return {};
  const int value = process.io_priority->io_class << 13U | process.io_priority->priority;
  if (::syscall(SYS_ioprio_set, 1 /* IOPRIO_WHO_PROCESS */, 0, value) != 0) return fail_errno("setting process.ioPriority");
  return {};
}

bool inherits_scheduler(const oci::Process& process) {
  constexpr std::uint64_t kResetOnFork = 1;  // SCHED_FLAG_RESET_ON_FORK
  constexpr int kDeadline = 6;               // SCHED_DEADLINE
  return !process.scheduler || (process.scheduler->policy != kDeadline && (process.scheduler->flags & kResetOnFork) == 0);
}

Result<> set_scheduler(pid_t pid, const oci::Process& process) {
  if (process.scheduler) {
    // sched_setattr(2); headers of Debian 12 do not have it.
    const struct {
      std::uint32_t size;
      std::uint32_t policy;
      std::uint64_t flags;
      std::int32_t nice;
      std::uint32_t priority;
      std::uint64_t runtime;
      std::uint64_t deadline;
      std::uint64_t period;
    } attr{48,
           static_cast<std::uint32_t>(process.scheduler->policy),
           process.scheduler->flags,
           process.scheduler->nice,
           static_cast<std::uint32_t>(process.scheduler->priority),
           process.scheduler->runtime_ns,
           process.scheduler->deadline_ns,
           process.scheduler->period_ns};
    if (::syscall(SYS_sched_setattr, pid, &attr, 0) != 0) return fail_errno("error setting scheduler");
  }
  return {};
}

Result<> set_personality(const oci::Config& config) {
  if (config.linux.personality && ::personality(*config.linux.personality) < 0) return fail_errno("setting linux.personality");
  return {};
}

Result<> set_memory_policy(const oci::MemoryPolicy& policy) {
  std::array<unsigned long, 128> mask{};
  if (!policy.nodes.empty()) {
    const auto nodes = parse_list(policy.nodes);
    if (!nodes) return while_doing("linux.memoryPolicy.nodes", nodes.error());
    for (const unsigned node : *nodes) mask[node / 64] |= 1UL << (node % 64);
  }
  const long mode = policy.mode | static_cast<long>(policy.flags);
  if (::syscall(SYS_set_mempolicy, mode, policy.nodes.empty() ? nullptr : mask.data(),
                policy.nodes.empty() ? 0UL : mask.size() * 64) != 0)
    return fail_errno("setting linux.memoryPolicy");
  return {};
}

Result<> set_affinity(const std::string& list) {
  if (list.empty()) return {};
  const auto numbers = parse_list(list);
  if (!numbers) return while_doing("process.execCPUAffinity " + quoted(list), numbers.error());
  std::array<unsigned long, 128> mask{};
  for (const unsigned number : *numbers) mask[number / 64] |= 1UL << (number % 64);
  if (::syscall(SYS_sched_setaffinity, 0, sizeof mask, mask.data()) < 0)
    return fail_errno("setting process.execCPUAffinity " + quoted(list));
  return {};
}

Result<> become(const oci::Process& process, Groups groups) {
  const oci::Capabilities capabilities = process.capabilities.value_or(oci::Capabilities{});
  TRY(drop_bounding(capabilities.bounding));
  if (::prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0) return fail_errno("keeping capabilities");
  const oci::User& user = process.user;
  // So that no group of the caller's stays that nobody asked for (CVE-2022-2989), where the namespace allows it.
  if (groups == Groups::kSet) {
    std::vector<gid_t> list(user.additional_gids.begin(), user.additional_gids.end());
    if (::setgroups(list.size(), list.data()) != 0) return fail_errno("setgroups");
  } else if (groups == Groups::kCannot && !user.additional_gids.empty()) {
    return fail(ErrorKind::kUnsupported, "cannot set any additional groups in a rootless container");
  }
  if (::setresgid(user.gid, user.gid, user.gid) != 0) return fail_errno("setgid " + std::to_string(user.gid));
  if (::setresuid(user.uid, user.uid, user.uid) != 0) return fail_errno("setuid " + std::to_string(user.uid));
  if (::prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0) != 0) return fail_errno("keeping capabilities");
  return set_capabilities(capabilities);
}

bool limits_processes(const oci::Process& process) {
  return std::ranges::any_of(process.rlimits, [](const oci::Rlimit& row) { return row.resource == RLIMIT_NPROC; });
}

Result<> set_limits(pid_t pid, const oci::Process& process, LimitsFor next) {
  for (const oci::Rlimit& row : process.rlimits) {
    rlimit value{row.soft, row.hard};
    if (next == LimitsFor::kCloneAndExec && row.resource == RLIMIT_NPROC) {
      rlimit now{};
      if (::prlimit(pid, RLIMIT_NPROC, nullptr, &now) != 0) return fail_errno("looking at RLIMIT_NPROC");
      value.rlim_cur = value.rlim_max = std::max<rlim_t>(now.rlim_max, row.hard);
    }
    if (::prlimit(pid, static_cast<__rlimit_resource>(row.resource), &value, nullptr) == 0) continue;
    const int error = errno;
    std::string hint;
    if (error == EPERM) hint = " (raising a hard limit needs CAP_SYS_RESOURCE, which the runtime does not have)";
    Failure failure = fail_errno("error setting rlimit type " + std::to_string(row.resource) + " to " + std::to_string(row.soft) +
                                     ":" + std::to_string(row.hard),
                                 error);
    failure.error().message += hint;
    return failure;
  }
  return {};
}

Result<> set_no_new_privileges() {
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return fail_errno("setting no_new_privs");
  return {};
}

Result<> enter_cwd(const oci::Process& process) {
  if (::chdir(process.cwd.c_str()) != 0)
    return fail_errno("chdir to cwd (" + quoted(process.cwd) + ") set in config.json failed");
  char path[4096];
  if (::syscall(SYS_getcwd, path, sizeof path) < 0 || path[0] != '/')
    return fail(ErrorKind::kDenied,
                "current working directory is outside of container mount namespace root -- possible container breakout detected");
  return {};
}

Result<std::string> find_executable(const oci::Process& process) {
  const std::string& name = process.args.front();
  const auto failed = [&](std::string_view why, ErrorKind kind) {
    return fail(kind, "exec: " + quoted(name) + ": " + std::string(why));
  };
  const auto usable = [](const std::string& path) {
    struct stat info {};
    if (::stat(path.c_str(), &info) != 0) return errno;
    if (S_ISDIR(info.st_mode)) return EISDIR;
    return ::faccessat(AT_FDCWD, path.c_str(), X_OK, AT_EACCESS) == 0 ? 0 : errno;
  };
  if (name.find('/') != std::string::npos) {
    const int error = usable(name);
    if (error == 0) return name;
    if (error == ENOENT) return failed("stat " + name + ": no such file or directory", ErrorKind::kNotFound);
    if (error == ENOTDIR) return failed("stat " + name + ": not a directory", ErrorKind::kNotFound);
    return failed("permission denied", ErrorKind::kNotExecutable);
  }
  std::string_view path;
  for (const std::string& variable : process.env)
    if (variable.starts_with("PATH=")) path = std::string_view(variable).substr(5);
  int best = ENOENT;
  for (const std::string_view directory : split(path, ':')) {
    if (path.empty()) break;
    const std::string candidate = (directory.empty() ? "." : std::string(directory)) + "/" + name;
    const int error = usable(candidate);
    if (error == 0) return candidate;
    if (error == EACCES) best = EACCES;
  }
  if (best == EACCES) return failed("permission denied", ErrorKind::kNotExecutable);
  return failed("executable file not found in $PATH", ErrorKind::kNotFound);
}

std::vector<std::string> environment_of(const oci::Process& process) {
  std::vector<std::string> environment = process.env;
  for (const std::string& variable : environment)
    if (variable.starts_with("HOME=") && variable.size() > 5) return environment;
  std::erase_if(environment, [](const std::string& variable) { return variable == "HOME="; });
  std::string home = "/";
  if (const std::string text = read_passwd(); !text.empty()) {
    for (const std::string_view line : split(text, '\n')) {
      const auto fields = split(line, ':');
      if (fields.size() < 6) continue;
      const auto uid = parse_unsigned(fields[2], UINT32_MAX);
      if (!uid || *uid != process.user.uid || fields[5].empty()) continue;
      home = fields[5];
      break;
    }
  }
  environment.push_back("HOME=" + home);
  return environment;
}

}  // namespace clawrun::container
