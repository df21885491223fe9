// The whole of what will be done, decided: flat arrays of kernel operations in the order in which they are done.
#pragma once

#include <linux/filter.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cgroup/place.h"
#include "child/plan.h"
#include "net/steering.h"
#include "spec/network.h"

namespace clawrun::plan {

// One line of uid_map or gid_map: user_namespaces(7).
struct IdMapLine {
  std::uint32_t inside = 0;
  std::uint32_t outside = 0;
  std::uint32_t count = 1;
};

// Which host ids the sandbox gets. What depends on the sandbox's own pid is known only after clone3.
struct IdMaps {
  enum class Outside : std::uint8_t {
    kFixed,       // the lines as they stand
    kOwn,         // likewise, one line that maps the caller: the child writes it itself
    kPerProcess,  // one id: range_start + pid % range_count, so that no two live sandboxes share it
    kPerBlock,    // 65536 ids: a block of the range that no live sandbox holds
  };
  Outside outside = Outside::kFixed;
  std::uint32_t range_start = 0;
  std::uint32_t range_count = 0;
  std::vector<IdMapLine> uids;
  std::vector<IdMapLine> gids;
  bool deny_setgroups = false;  // an ordinary user's map is only allowed with it
  bool with_helpers = false;    // written by newuidmap(1) and newgidmap(1)
};

// Ids on disk that are to look like the sandbox's user, and the other way round when it writes: mount_setattr(2) IDMAP.
struct Ownership {
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  bool whole_range = false;  // ids 0..65535 on disk are the sandbox's 0..65535, not one owner the sandbox's user
};

struct Operation {
  child::Op op = child::Op::kDirectory;
  std::string source;
  std::string target;  // without a leading slash
  std::vector<std::pair<std::string, std::string>> options;
  std::optional<std::string> data;
  std::uint64_t attr_set = 0;
  std::uint32_t mode = 0;
  bool recursive = false;
  bool no_follow = false;
  bool by_parent = false;  // the source is opened by the caller's own rights, before the identity changes
  std::optional<Ownership> idmap;
};

struct LandlockRule {
  std::string path;  // "": the descriptor
  int fd = -1;
  std::uint64_t access = 0;
};

struct Landlock {
  bool enabled = false;
  std::uint64_t handled_fs = 0;
  std::uint64_t handled_net = 0;
  std::uint64_t scoped = 0;
  std::size_t attr_size = 0;
  std::vector<LandlockRule> rules;
  std::uint64_t command_access = 0;  // a rule for the command itself, where not all may be executed
};

// What becomes of one of the caller's standard streams.
enum class Stream : std::uint8_t {
  kInherit,   // passed as it is
  kPipe,      // a terminal of the caller: copied through a pipe
  kTerminal,  // the sandbox's own terminal
};

// The cgroup that is made before the sandbox, and what is written into it.
struct Cgroup {
  cgroup::Place place;
  cgroup::Limits limits;
};

// Netlink requests for the child to send in its new network namespace.
struct NetlinkRequests {
  enum class What : std::uint8_t { kLoopback, kAddresses, kRules, kRefusals } what = What::kLoopback;
  int protocol = 0;
  std::string bytes;
  bool send_out = false;  // the socket: it hears what the rules refuse
};

// A network namespace that is made after clone3.
struct NewNetwork {
  std::vector<NetlinkRequests> requests;
  std::vector<net::Listener> listeners;  // sockets for the gateway
};

// What the gateway lets through.
struct Gateway {
  std::vector<spec::HostRule> allow;
  std::vector<spec::HostRule> deny;
  std::vector<spec::Credential> credentials;
  std::vector<spec::Injection> injections;
  bool has_ipv6 = true;
  std::uint64_t connections = 0;
  std::chrono::milliseconds connect_timeout{0};
  std::uint64_t rate_bytes_per_s = 0;  // 0: no limit
  std::uint64_t most_bytes = 0;        // likewise
  std::string log;                     // a file, or ""
};

struct Plan {
  std::string name;               // "": one is drawn at the start
  std::uint64_t clone_flags = 0;  // CLONE_NEW*, of clone3; the cgroup namespace by unshare, once it is in its cgroup
  std::optional<Cgroup> cgroup;
  bool core_scheduling = false;
  std::optional<NewNetwork> new_network;
  std::optional<Gateway> gateway;  // with new_network: the only way out of it
  std::string network_namespace;   // a path: the namespace that is joined, before the clone; "": none
  bool new_time_namespace = false;
  IdMaps ids;
  bool change_identity = false;
  bool drop_groups = false;
  std::uint32_t uid = 0;  // inside
  std::uint32_t gid = 0;

  std::vector<Operation> operations;
  std::string workdir;
  std::uint32_t umask = 022;

  std::vector<child::Rlimit> rlimits;
  std::uint64_t keep_capabilities = 0;
  Landlock landlock;
  std::string seccomp_name;
  std::vector<std::vector<sock_filter>> filters;
  unsigned seccomp_flags = 0;
  bool filters_allow_read = false;  // a shipped profile: read(2) passes, so they may be loaded before init is waited for
  bool has_start_cookie = false;    // a secret is put into the filters at each start

  bool init = true;
  Stream streams[3] = {Stream::kInherit, Stream::kInherit, Stream::kInherit};
  bool give_pipes = false;  // pipes that are stdio become the sandbox user's, so that it can open /dev/stderr again
  std::vector<int> preserve_fds;

  std::vector<std::string> argv;
  std::vector<std::string> candidates;
  std::vector<std::string> environment;

  std::chrono::milliseconds timeout{0};
  std::chrono::milliseconds grace{0};
  std::optional<std::uint64_t> max_output_bytes;  // of each of standard output and error, which are copied then

  // How the child finds its way on this kernel.
  bool has_clone3 = true;
  bool has_clone_into_cgroup = true;
  bool has_openat2 = true;
  bool has_close_range = true;
  std::uint32_t last_capability = 0;

  // For the report.
  std::string rootfs;
  std::vector<std::string> profiles;
  std::vector<std::string> degradations;  // protections that are missing, in words
  std::vector<std::string> notes;         // properties of this host that a reader of the plan should know
};

}  // namespace clawrun::plan
