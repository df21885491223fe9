// What a container's process takes upon itself before it executes: shared by `create`, `run` and `exec`.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "oci/config.h"

namespace clawrun::container {

// A procfs that nobody in the container can have changed: an O_PATH descriptor of the host's /proc, checked to be one. All that
// is written there is opened below it without links and mounts in the way (CVE-2019-16884, CVE-2025-52881).
class Proc {
 public:
  static Result<Proc> open();
  // One openat2(2) and one write(2).
  [[nodiscard]] Result<> write(const std::string& path, std::string_view text) const;
  // As `write`, for files of this process: "self/" goes before `path`.
  [[nodiscard]] Result<> write_self(const std::string& path, std::string_view text) const;
  [[nodiscard]] int fd() const { return fd_.get(); }

 private:
  UniqueFd fd_;
};

// linux.sysctl: oci::check_config() has seen to it that each belongs to a namespace of the list; that it is not the host's own,
// joined by path, is seen here.
Result<> check_sysctls(const oci::Config& config);
Result<> write_sysctls(const Proc& proc, const oci::Config& config);

// process.apparmorProfile, process.selinuxLabel: of the next execve(2).
Result<> label_next_exec(const Proc& proc, const oci::Process& process);

// process.scheduler of the process `pid`, 0 for the caller.
Result<> set_scheduler(pid_t pid, const oci::Process& process);
// Whether a process that the caller clones has it too: sched(7), "The reset-on-fork flag" and "SCHED_DEADLINE".
bool inherits_scheduler(const oci::Process& process);

// process.ioPriority, linux.personality, linux.memoryPolicy.
Result<> set_io_priority(const oci::Process& process);
Result<> set_personality(const oci::Config& config);
Result<> set_memory_policy(const oci::MemoryPolicy& policy);

// Lists of processors: sched_setaffinity(2).
Result<> set_affinity(const std::string& list);

// What is still to come under the limits. RLIMIT_NPROC counts who clones as well: before the clone it is only raised, and what
// it is to be is for the process that executes, with no more rights than it has by then.
enum class LimitsFor : std::uint8_t { kExec, kCloneAndExec };

// process.rlimits of the process `pid`, 0 for the caller. By one whose rights may raise a limit, and before the process becomes
// somebody else, whose limits would be out of its reach: prlimit(2).
Result<> set_limits(pid_t pid, const oci::Process& process, LimitsFor next);
bool limits_processes(const oci::Process& process);

enum class Groups : std::uint8_t {
  kSet,
  kCannot,  // setgroups(2) is refused in this user namespace
  kKeep,    // those of the caller stay: the annotation run.oci.keep_original_groups
};

// Bounding set, groups, ids, the four other sets. After it the process is what process.user and process.capabilities say.
Result<> become(const oci::Process& process, Groups groups);

// PR_SET_NO_NEW_PRIVS.
Result<> set_no_new_privileges();

// Into process.cwd, which must be inside the root (CVE-2024-21626).
Result<> enter_cwd(const oci::Process& process);

// The file that process.args[0] names, as execvp(3) finds it in the PATH of process.env; with runc's words where there is none.
Result<std::string> find_executable(const oci::Process& process);

// process.env, with HOME of /etc/passwd where it has none.
std::vector<std::string> environment_of(const oci::Process& process);

}  // namespace clawrun::container
