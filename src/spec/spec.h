// What a sandbox is to be, as it was asked for: plain data, the same for the command line, profiles and the library.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cgroup/limits.h"
#include "cgroup/place.h"
#include "spec/network.h"

namespace clawrun::spec {

inline constexpr std::uint32_t kSandboxId = 1000;  // uid and gid of the user `sandbox`
inline constexpr const char* kWorkspace = "/workspace";
inline constexpr std::uint64_t kDefaultPids = 512;
inline constexpr std::uint64_t kDefaultMemoryBytes = 2ULL << 30U;  // or half of what is available, where that is less

struct Bind {
  std::string source;  // on the host
  std::string target;  // absolute, in the sandbox
  bool read_only = false;
};

struct Tmpfs {
  std::string target;
  std::optional<std::uint64_t> size_bytes;  // --tmp-size where it is not given
};

struct Variable {
  std::string name;
  std::optional<std::string> value;  // nullopt: the caller's, when it has one
};

// One that is in the work directory when the command starts.
struct File {
  std::string path;  // relative
  std::string data;
  std::uint32_t mode = 0644;
};

// A device node of the host, at the same path inside.
struct Device {
  std::string path;
  bool read = true;
  bool write = true;
  bool mknod = false;
};

enum class Network : std::uint8_t {
  kAuto,       // kAllow where a host is allowed, else kNone: gone once the specification is valid
  kNone,       // a loopback interface and nothing else
  kHost,       // the host's network, unprotected
  kAllow,      // an own namespace whose only way out is the gateway
  kNamespace,  // a network namespace that is there already
};
enum class Switch : std::uint8_t { kAuto, kOn, kOff };
enum class IdMapping : std::uint8_t { kAuto, kSingle, kRange };

struct IdRange {
  std::uint32_t start = 0;
  std::uint32_t count = 0;
};

struct SandboxSpec {
  std::vector<std::string> command;

  // Root filesystem
  std::string rootfs;  // a name in the store, a directory, "host"; empty: `default` of the store when it is there, else host
  bool writable = false;
  std::optional<Bind> workspace;
  std::vector<Bind> binds;
  std::vector<Tmpfs> tmpfs;
  std::uint64_t tmp_size_bytes = 256ULL << 20U;
  std::string workdir;  // empty: /workspace
  std::vector<File> files;

  // Environment and identity
  std::vector<Variable> environment;
  std::vector<std::string> environment_files;
  std::uint32_t uid = kSandboxId;
  std::uint32_t gid = kSandboxId;
  std::uint64_t capabilities = 0;  // bit n: capability n
  IdMapping id_mapping = IdMapping::kAuto;
  // Started by root: the sandbox's host uid is start + pid, so no two that live at the same time share one; blocks of 65536
  // ids lie above. The default begins where systemd's range for containers ends.
  IdRange uid_range{0x70000000, 0x10000000};
  std::string hostname = "sandbox";

  // Isolation
  Network network = Network::kAuto;
  std::string network_namespace;        // kNamespace: a path, or a name of ip-netns(8)
  Outgoing outgoing;                    // kAllow
  std::string seccomp = "default";      // a shipped profile, a file, or "unconfined"
  std::vector<std::string> allow_exec;  // with a profile that refuses exec after the start
  Switch landlock = Switch::kAuto;
  bool init = true;
  bool time_namespace = false;

  // Limits
  std::chrono::milliseconds timeout{0};  // 0: none
  std::chrono::milliseconds grace{2000};
  std::optional<std::uint64_t> cpu_time_s;
  std::optional<std::uint64_t> nofile;
  std::optional<std::uint64_t> nproc;
  std::optional<std::uint64_t> fsize_bytes;
  std::optional<std::uint64_t> stack_bytes;
  std::optional<std::uint64_t> address_space_bytes;
  // Enforced by cgroups. Unset: memory and pids have defaults that keep a host alive; cgroup::kUnlimited lifts them ("none").
  cgroup::Limits limits;
  cgroup::DriverChoice cgroup_driver = cgroup::DriverChoice::kAuto;
  std::string cgroup_path;
  std::vector<Device> devices;
  bool core_scheduling = false;

  // Stdio
  bool tty = false;
  std::vector<int> preserve_fds;
  std::optional<std::uint64_t> max_output_bytes;  // of each of standard output and error

  // How it is run
  std::string name;                   // of the sandbox; empty: one that nobody else has
  std::vector<std::string> profiles;  // applied, in order; for the report
  bool allow_degraded = false;
  bool report_usage =
      true;  // somebody will read what was used: v1 counts some of it in hierarchies that are otherwise not joined
};

}  // namespace clawrun::spec
