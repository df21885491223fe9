// ValidSpec and what is known of the host -> Plan: pure, no system calls, so that a plan can be tested with made-up facts.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "host/facts.h"
#include "plan/plan.h"
#include "seccomp/compile.h"
#include "spec/validate.h"

namespace clawrun::plan {

// What a bind's source is on the host.
struct SourceFacts {
  bool is_directory = true;
  std::uint32_t owner_uid = 0;
  std::uint32_t owner_gid = 0;
};

struct RootFacts {
  bool is_host = true;
  std::string name;  // as the report names it
  std::string path;  // of a directory
  SourceFacts source;
  std::vector<std::string> missing;      // mount points of mount_targets() that the directory lacks
  std::vector<host::HostEntry> entries;  // of the `host` root
};

enum class StreamFacts : std::uint8_t { kPlain, kTerminal };

struct HardLimits {
  std::uint64_t nofile = UINT64_MAX;
  std::uint64_t nproc = UINT64_MAX;
  std::uint64_t fsize = UINT64_MAX;
  std::uint64_t stack = UINT64_MAX;
  std::uint64_t cpu = UINT64_MAX;
  std::uint64_t address_space = UINT64_MAX;
};

// A device node that --device grants.
struct DeviceFacts {
  bool is_block = false;
  std::uint32_t major = 0;
  std::uint32_t minor = 0;
};

struct Inputs {
  host::HostFacts host;
  cgroup::Place cgroup_place;  // for wanted_controllers()
  std::uint64_t available_memory_bytes = 0;
  std::vector<DeviceFacts> devices;     // one for each of the specification's
  std::string core_scheduling_refusal;  // why this kernel has none; read only with --core-sched
  RootFacts root;
  std::optional<SourceFacts> workspace;
  std::vector<SourceFacts> binds;            // one for each of the specification's
  std::optional<seccomp::Compiled> seccomp;  // nullopt: unconfined
  StreamFacts streams[3] = {StreamFacts::kPlain, StreamFacts::kPlain, StreamFacts::kPlain};
  HardLimits hard_limits;
  std::uint32_t last_capability = 40;
  std::vector<host::SubIdRange> sub_uids;  // read only when wants_id_range()
  std::vector<host::SubIdRange> sub_gids;
  std::string loopback_request;  // netlink bytes
  bool has_ipv6 = true;
  std::string network_namespace;  // its path
  std::string resolver;           // /etc/resolv.conf, or the one that the network namespace has
};

// Where the sandbox will have a mount, in the order in which they are made: what a root directory should offer.
std::vector<std::string> mount_targets(const spec::ValidSpec& spec);

// Which cgroup controllers a place is to be found for: those of the limits that were asked for, and of the default ones.
std::vector<std::string_view> wanted_controllers(const spec::SandboxSpec& spec, const host::HostFacts& facts);

// Whether more than one id is to exist inside.
bool wants_id_range(const spec::SandboxSpec& spec);

// The paths to try for a command in this environment ("NAME=VALUE").
std::vector<std::string> candidates_for(const std::string& command, const std::vector<std::string>& environment);

// Whether a limit of memory leaves room for the words of a command. The kernel copies them while the child still shares the memory of
// the host, and for want of memory it kills all that do.
Result<> check_words(const std::vector<std::string>& argv, const std::vector<std::string>& environment,
                     std::optional<std::uint64_t> memory_bytes);

// An error names the first thing that this host cannot give and the remedy; with allow_degraded it becomes a line of
// Plan::degradations where going on is possible at all. Thread-safe.
Result<Plan> compile(const spec::ValidSpec& spec, const Inputs& inputs);

}  // namespace clawrun::plan
