// OCI containers: what the verbs of the runtime command line do. One function for each verb.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "cgroup/usage.h"
#include "oci/config.h"
#include "state/container.h"

namespace clawrun::engine {

enum class CgroupManager : std::uint8_t { kCgroupfs, kSystemd, kDisabled };

// The options before the verb.
struct Runtime {
  std::string root;  // where the containers' states are; "": state::default_container_root()
  CgroupManager cgroup_manager = CgroupManager::kCgroupfs;
  std::optional<bool> rootless;  // runc's --rootless; unset: auto
  // Of what is in config.json, cannot be, and stops nothing; may be empty.
  std::function<void(const std::string& message)> warn;
};

struct CreateOptions {
  std::string bundle;          // "": the working directory
  std::string config;          // crun's --config; "": config.json of the bundle
  std::string console_socket;  // AF_UNIX stream; gets the terminal's master
  std::string pidfd_socket;    // AF_UNIX stream; gets a pidfd of the first process
  std::string pid_file;
  bool no_pivot = false;
  bool no_new_keyring = false;
  unsigned preserve_fds = 0;  // 3 .. 3+n-1
};

struct RunOptions {
  CreateOptions create;
  bool detach = false;
  bool keep = false;  // the container is not deleted when its process has ended
  bool no_subreaper = false;
  std::function<void(const std::string& message)> warn;  // of what failed and did not stop it: poststop hooks
};

Result<> create(const Runtime& runtime, const std::string& id, const CreateOptions& options);
Result<> start(const Runtime& runtime, const std::string& id);
// The exit status of the container's process (128 + n for signal n), or 0 where detached.
Result<int> run(const Runtime& runtime, const std::string& id, const RunOptions& options);

struct ExecInOptions {
  std::string process_file;  // process.json; the others then override nothing but say less: see runc
  std::vector<std::string> args;
  std::string cwd;
  std::vector<std::string> env;
  std::optional<bool> tty;
  std::string user;  // "UID[:GID]", digits alone
  std::vector<std::uint32_t> additional_gids;
  std::vector<std::string> capabilities;  // added to bounding, permitted, effective; never to inheritable (CVE-2022-29162)
  std::optional<bool> no_new_privileges;
  std::string apparmor_profile;
  std::string selinux_label;
  std::string console_socket;
  std::string pidfd_socket;
  std::string pid_file;
  std::string cgroup;  // below the container's own
  bool detach = false;
  bool ignore_paused = false;
  unsigned preserve_fds = 0;
};

Result<int> exec_in(const Runtime& runtime, const std::string& id, const ExecInOptions& options);

Result<state::ContainerState> container_state(const Runtime& runtime, const std::string& id);

struct KillOptions {
  bool all = false;    // every process of its cgroup
  bool regex = false;  // crun: `id` is a regular expression over ids
};
Result<> kill(const Runtime& runtime, const std::string& id, int signal, const KillOptions& options);

struct DeleteOptions {
  bool force = false;  // KILL first; an id that is not there is success
  bool regex = false;
  std::function<void(const std::string& message)> warn;  // of what failed and did not stop it: poststop hooks
};
Result<> remove(const Runtime& runtime, const std::string& id, const DeleteOptions& options);

Result<std::vector<state::ContainerState>> containers(const Runtime& runtime);
Result<std::vector<pid_t>> processes(const Runtime& runtime, const std::string& id);
Result<> pause(const Runtime& runtime, const std::string& id);
Result<> resume(const Runtime& runtime, const std::string& id);

// What `update` changes: the JSON of --resources with the single options on top, merged by the caller.
struct UpdateOptions {
  oci::Resources resources;
  std::string l3_cache_schema;
  std::string mem_bw_schema;
};
Result<> update(const Runtime& runtime, const std::string& id, const UpdateOptions& options);

// One line of `events`, as JSON text: {"type":"stats","id":…,"data":{…}}. `sink` returns false to stop.
struct EventsOptions {
  bool stats = false;  // one line, then return
  std::chrono::milliseconds interval{5000};
};
Result<> events(const Runtime& runtime, const std::string& id, const EventsOptions& options,
                const std::function<bool(std::string_view line)>& sink);

// What this runtime can do, as JSON: features.md of the specification.
std::string features();

}  // namespace clawrun::engine
