// The OCI containers of one state root: a directory for each, on tmpfs, that survives the runtime and tells the truth after it.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "cgroup/location.h"
#include "state/state.h"

namespace clawrun::state {

enum class ContainerStatus : std::uint8_t { kCreating, kCreated, kRunning, kPaused, kStopped };

// What state.json of ours holds.
struct ContainerRecord {
  std::string id;
  std::string oci_version;
  std::string bundle;  // absolute
  std::string rootfs;  // absolute
  Process init;        // pid 0 until it is there
  // The runtime that is making it, from the first write() until `create` is done, which writes it again without: a container
  // whose maker has died half-way is stopped, not creating.
  Process maker;
  std::uint32_t owner = 0;
  std::string created;  // RFC 3339 with nanoseconds, UTC
  std::map<std::string, std::string> annotations;
  cgroup::Location location;
  bool systemd_cgroup = false;
  std::string intel_rdt_path;  // a group that is to be removed; ""
  bool rootless = false;
};

struct ContainerState {
  ContainerRecord record;
  ContainerStatus status = ContainerStatus::kStopped;
};

// $XDG_RUNTIME_DIR/clawrun/containers for who is not root, /run/clawrun/containers otherwise; an empty XDG_RUNTIME_DIR is none.
// Root inside of a user namespace that is not the host's uses XDG_RUNTIME_DIR where it is set (Podman).
std::string default_container_root();

// 1 to 1024 of [A-Za-z0-9_+.-], not "." or "..": runc's rule, and its words.
Result<> check_container_id(const std::string& id);

// ROOT/ID, where only a directory of the caller's own or of root's, that nobody else can write to, is believed.
class Container {
 public:
  // kExclusive: the directory is locked (flock(2)) as long as this lives, so that no two runtimes change one container at the
  // same time. kShared: for reading, which waits for nobody, since each file appears whole: a hook may ask for the state of the
  // container that is being made, and `kill` reaches one whose `start` hangs.
  enum class Lock : std::uint8_t { kShared, kExclusive };

  // How long another runtime may keep it locked before kExclusive is an error of kind kDenied.
  static constexpr std::chrono::milliseconds kLockTime{30'000};

  // Makes the directory, and `root` where it is missing, and locks it. A taken id is an error, in runc's words ("container with
  // given ID already exists").
  static Result<Container> create(const std::string& root, const std::string& id);
  // kNotFound, in runc's words ("container does not exist").
  static Result<Container> open(const std::string& root, const std::string& id, Lock lock,
                                std::chrono::milliseconds lock_time = kLockTime);

  Container(Container&&) = default;
  Container& operator=(Container&&) = default;

  [[nodiscard]] const std::string& path() const { return path_; }  // of the directory
  [[nodiscard]] int directory() const { return directory_.get(); }

  Result<> write(const ContainerRecord& record);  // atomic: a new file, renamed
  // kNotFound where `create` was killed before it wrote one. A directory that another runtime made is an error that says so.
  [[nodiscard]] Result<ContainerRecord> read() const;
  // From the record, the kernel (pid and start time, a zombie is stopped), the gate and the freezer. Where there is no record yet
  // the id is all that it has. The record is as it was written: `init` of a stopped container is not 0.
  [[nodiscard]] Result<ContainerState> state() const;

  // config.json as it was read at `create`.
  Result<> write_config(std::string_view json);
  [[nodiscard]] Result<std::string> read_config() const;

  // Two FIFOs, "gate" and "report", made by make_gate() before the container's process is. The process holds the gate open for
  // reading and the report for writing until it executes. While somebody holds it the container is created and not started.
  // Those that an earlier call made are replaced.
  Result<> make_gate();
  [[nodiscard]] bool is_at_gate() const;
  void remove_gate();

  // The directory with all that is in it. It must be locked: kExclusive.
  Result<> remove();

 private:
  enum class Held : std::uint8_t { kNot, kByOpener, kByMaker };

  Container() = default;
  static Result<Container> find(UniqueFd root_directory, const std::string& root, const std::string& id);
  [[nodiscard]] Result<bool> lock(std::chrono::milliseconds time);
  [[nodiscard]] Result<> replace(const char* name, std::string_view text) const;
  [[nodiscard]] bool is_being_made() const;

  UniqueFd root_;
  std::string id_;
  std::string path_;
  UniqueFd directory_;
  Held held_ = Held::kNot;
};

// All that are there, by id; what cannot be read is left out, and in `problems`, one line each.
struct ContainerListing {
  std::vector<ContainerState> containers;
  std::vector<std::string> problems;
};
Result<ContainerListing> list_containers(const std::string& root);

// "creating", "created", "running", "paused", "stopped".
std::string_view status_name(ContainerStatus status);

// {"ociVersion":…,"id":…,"status":…,"pid":…,"bundle":…,"annotations":…}: what hooks get on stdin; `status` is one of the
// specification's words, and the pid of a "stopped" one is 0.
std::string hook_state_json(const ContainerRecord& record, std::string_view status);

}  // namespace clawrun::state
