// Starting a container's first process, as `create` does, and further processes in a container, as `exec` does.
#pragma once

#include <linux/filter.h>
#include <sys/types.h>

#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "oci/config.h"

namespace clawrun::container {

// The compiled seccomp filter of a configuration.
struct Filters {
  std::vector<std::vector<sock_filter>> programs;  // loaded in this order
  unsigned flags = 0;                              // SECCOMP_FILTER_FLAG_*
  bool notify = false;                             // the load of the last program, with listener_flags, gives a listener
  unsigned listener_flags = 0;
};

// Everything that a start needs and that is not in config.json.
struct Launch {
  std::string id;
  std::string bundle;  // absolute
  std::string rootfs;  // absolute
  Filters filters;
  // The container's cgroup: cgroup/group.h.
  int clone_into_cgroup = -1;
  // Called when the process has been cloned: makes what is left of the cgroups, and gives the files to which it writes "0" to be
  // in them. Not set: it is in all of them.
  std::function<Result<std::vector<UniqueFd>>()> join_groups;
  int console_socket = -1;  // connected; gets the terminal's master
  int gate = -1;            // FIFO, open for reading and writing
  int report = -1;          // FIFO, open for reading and writing
  int hooks_stdout = -1;    // where the output of hooks goes: launch/hook_output.h
  int hooks_stderr = -1;
  unsigned preserve_fds = 0;
  unsigned listen_fds = 0;   // of those, from LISTEN_FDS
  std::string listen_names;  // LISTEN_FDNAMES
  bool no_pivot = false;
  bool no_new_keyring = false;
  // The state JSON for hooks, with this pid and status.
  std::function<std::string(pid_t pid, std::string_view status)> hook_state;
  // Called when the process is there, before anything of it can be relied upon: the record.
  std::function<Result<>(pid_t pid)> on_process;
  // Called when nothing is left to be done that can fail. Only when it has returned does the process outlive the runtime: what
  // it writes is true whenever the runtime is killed.
  std::function<Result<>(pid_t pid, int pidfd)> on_ready;
};

struct Started {
  pid_t pid = -1;
  UniqueFd pidfd;
};

// When it returns, the process waits at the gate with everything done but its execve(2). On failure nothing of it is left.
Result<Started> start_process(const oci::Config& config, const Launch& launch);

// `exec`.
struct Join {
  pid_t init = -1;  // of the container
  // Asked when its namespaces are open, which would be those of whoever had the number after it.
  std::function<bool()> is_alive;
  // Called when the process is there, before it goes on.
  std::function<Result<>(pid_t pid)> on_process;
  Filters filters;
  int clone_into_cgroup = -1;
  std::vector<int> join_files;
  int console_socket = -1;
  unsigned preserve_fds = 0;
  bool no_new_keyring = false;
};

// When it returns, the process has executed, or it has failed and nothing is left of it.
Result<Started> join_process(const oci::Config& config, const oci::Process& process, const Join& join);

// Lets the process of a created container go on, and waits until it has executed. `gate` and `report` are the FIFOs' paths.
Result<> open_gate(const std::string& gate, const std::string& report);

}  // namespace clawrun::container
