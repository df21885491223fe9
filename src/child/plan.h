// What the child is given and what it answers: plain data, laid out before clone3 and only read after it.
#pragma once

#include <cstddef>
#include <cstdint>

struct sock_filter;

namespace clawrun::child {

// One step of building the root, in the order in which the child takes them. Targets are relative to the root that is being
// built and are resolved inside it (openat2 RESOLVE_IN_ROOT), never by a path of the host.
enum class Op : std::uint8_t {
  kFilesystem,  // fsopen(source) with `options`, mounted at target with attr_set; an empty target makes it the base
  kBind,        // open_tree(source), or `fd` where it is not negative; mounted at target; an empty target makes it the base
  kEnter,       // target, a mount inside the base, becomes the base
  kDevice,      // the host's character device `source`, checked to be number `mode`; mounted at target
  kDirectory,   // mkdir target with `mode`, its parents with 0755; an existing directory is left alone
  kFile,        // a new file at target with `data`; without data a mount point, which may already be there
  kSymlink,     // target -> source
  kMask,        // hide target: an empty read-only directory, or the null device; a target that is not there is fine
  kSelfBind,    // target bound onto itself with attr_set; a target that is not there is fine
  kAttributes,  // mount_setattr(attr_set) on target
  kCover,       // a file with `data` on a tmpfs of its own, mounted over the file at target with attr_set
  kHostname,    // sethostname(source)
};

struct Operation {
  Op op = Op::kDirectory;
  bool recursive = false;      // kBind, kAttributes: with the mounts below
  bool no_follow = false;      // the last part of target must not be a symbolic link (CVE-2019-18837)
  int fd = -1;                 // kBind: a detached mount made by the parent
  std::uint32_t mode = 0;      // permission bits, or the device number of kDevice
  std::uint64_t attr_set = 0;  // MOUNT_ATTR_*
  const char* source = nullptr;
  const char* target = nullptr;
  const char* const* options = nullptr;  // key, value, key, value, nullptr; an empty value is a flag
  const char* data = nullptr;
  std::size_t size = 0;
};

struct Rlimit {
  int resource = 0;
  std::uint64_t soft = 0;
  std::uint64_t hard = 0;
};

struct Filter {
  const sock_filter* instructions = nullptr;
  std::uint16_t length = 0;
};

// One Landlock rule: what may be done below a path of the new root, or to the file behind a descriptor.
struct LandlockRule {
  const char* path = nullptr;  // nullptr: the descriptor
  int fd = -1;
  std::uint64_t access = 0;
};

struct Landlock {
  bool enabled = false;
  std::uint64_t handled_fs = 0;
  std::uint64_t handled_net = 0;
  std::uint64_t scoped = 0;
  std::size_t attr_size = 0;  // how much of landlock_ruleset_attr this kernel's ABI knows
  const LandlockRule* rules = nullptr;
  std::size_t rule_count = 0;
  std::uint64_t command_access = 0;  // a further rule for the command, where only named programs may be executed
};

// Netlink requests in one packet, of which the last asks for an acknowledgement: an error of any comes unasked, and before that.
struct NetlinkRequests {
  int protocol = 0;
  const char* bytes = nullptr;
  std::size_t size = 0;
  bool send_out = false;  // the socket, when all has been done: what it listens to is for the supervisor
};

// A transparent socket (ip(7), IP_TRANSPARENT) that is sent out: connections and packets to anywhere may be steered to it.
struct GatewaySocket {
  int family = 0;
  int type = 0;
  const void* address = nullptr;
  std::size_t address_size = 0;
};

// The steps that a report can name. The parent owns the words (launch/steps.cc).
enum class Step : std::uint32_t {
  kReady,   // not a failure: the next thing is execve
  kParked,  // not a failure: the next thing is to wait for a claim
  kParentDeath,
  kGate,
  kJoinCgroup,  // index: which
  kCgroupNamespace,
  kCoreScheduling,
  kSession,
  kStdio,
  kIdentity,
  kCloseFds,
  kNetwork,
  kNetworkRequests,  // index: which
  kGatewaySocket,    // index: which
  kOperation,        // index: which
  kPivotRoot,
  kDetachOldRoot,
  kKeyring,
  kTerminal,
  kStartCommand,  // the clone of the command below init
  kExecInit,
  kRlimit,  // index: which
  kTimeNamespace,
  kWorkdir,
  kCapabilities,
  kNoNewPrivs,
  kLandlock,      // index: which rule, or kNoIndex
  kSeccomp,       // index: which filter
  kClaim,         // index: which descriptor
  kWorkspace,     // mounting the one that a claim has brought
  kCommandFound,  // looking for the command: ENOENT, EACCES
  kExec,          // index: which candidate
};

inline constexpr std::uint32_t kNoIndex = UINT32_MAX;

// What the child writes on the report pipe, at most a few times, each at most PIPE_BUF.
struct Report {
  Step step = Step::kReady;
  std::int32_t errno_value = 0;
  std::uint32_t index = kNoIndex;
};

// Moments of the set-up, CLOCK_MONOTONIC nanoseconds, stored by the child into memory shared with the parent.
enum class Stage : std::uint8_t { kStarted, kReleased, kMounted, kPivoted, kConfined, kCount };

// Where the command's process waits until it is claimed: a sandbox that is made before it is known what for.
enum class Park : std::uint8_t {
  kNever,
  kConfined,  // nothing but the exec is left
  kMounted,   // what needs a capability or opens a file comes after it: the claim may bring a workspace
};

inline constexpr int kLastGiven = 4;

struct ChildPlan {
  // Descriptors, all above stdio.
  int report_fd = -1;   // the child's to make: its other end is sent on control_fd, so that no fork of the host holds an end.
                        // A pipe, or with `park` a socket, on which the claim comes
  int control_fd = -1;  // SOCK_SEQPACKET to the supervisor: one byte opens the gate; a terminal is
                        // sent back on it
  int stdio[3] = {-1, -1, -1};   // what becomes 0, 1 and 2; -1: left as it is
  int given[2] = {-1, -1};       // above kLastGiven: what becomes 3 and 4 of the command
  bool init_lingers = false;     // init ends when the supervisor says so: init/protocol.h
  int init_fd = -1;              // the sealed memfd of init; -1: the command is pid 1 itself
  int deadline_fd = -1;          // init's timer: init/protocol.h
  bool outlives_thread = false;  // with init: the sandbox is to end with the process that started it, not with its thread
  bool send_workdir = false;     // the directory where the command starts is sent on control_fd, for the files in it
  int* keep_fds = nullptr;       // ascending: what must survive the first closing; with room for one more, the report
  std::size_t keep_fd_count = 0;
  const int* preserve_fds = nullptr;  // ascending: what the command is given besides stdio
  std::size_t preserve_fd_count = 0;

  bool has_openat2 = true;
  bool has_close_range = true;

  // Lines for its own uid_map and gid_map, where the kernel lets the child write them itself: no waiting for the parent then.
  const char* uid_map = nullptr;
  const char* gid_map = nullptr;
  bool wait_at_gate = false;  // with uid_map too: the parent has it put into its cgroup first

  // Files of cgroups that the child joins by writing "0", which costs no grace period of the kernel as writing its pid would:
  // kernel/cgroup/cgroup.c, cgroup_procs_write_start(). Open for writing by the caller's own rights.
  const int* join_fds = nullptr;
  std::size_t join_fd_count = 0;

  // Made here and not by clone3, which takes the cgroup of its caller for the namespace's root: kernel/cgroup/namespace.c
  bool new_cgroup_namespace = false;
  bool core_scheduling = false;

  bool change_identity = false;  // started by root: become uid:gid (mapped) before anything is made
  bool drop_groups = false;
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;

  const Operation* operations = nullptr;
  std::size_t operation_count = 0;

  // A network namespace is made after clone3, by pid 1 while pid 2 builds the root: it costs as much as all mounts together.
  bool new_network_namespace = false;
  const NetlinkRequests* network_requests = nullptr;
  std::size_t network_request_count = 0;
  const GatewaySocket* gateway_sockets = nullptr;
  std::size_t gateway_socket_count = 0;
  std::uint32_t gateway_mark = 0;  // of their packets

  bool terminal = false;
  bool new_time_namespace = false;

  const Rlimit* rlimits = nullptr;
  std::size_t rlimit_count = 0;
  std::uint32_t umask = 022;
  const char* workdir = nullptr;
  std::uint64_t keep_capabilities = 0;  // bit n: capability n
  std::uint32_t last_capability = 0;    // /proc/sys/kernel/cap_last_cap as the parent read it
  Landlock landlock;
  const Filter* filters = nullptr;
  std::size_t filter_count = 0;
  unsigned filter_flags = 0;        // SECCOMP_FILTER_FLAG_*
  bool filters_allow_read = false;  // so they may be loaded before init is waited for
  std::uint64_t start_cookie = 0;   // sixth argument of execve: see seccomp/compile.h

  Park park = Park::kNever;
  const char* claimed_workspace = nullptr;  // where a mount that comes with the claim goes

  // The claim of a parked child fills in these three, and wakes it then.
  const char* const* candidates = nullptr;  // paths to try for the command, nullptr at the end
  const char* const* argv = nullptr;
  const char* const* envp = nullptr;

  void* command_stack_top = nullptr;

  // Written by the child.
  std::uint64_t* stages_ns = nullptr;  // Stage::kCount of them
};

// Entry point after clone3: `plan` is a ChildPlan. Never returns.
void child_main(void* plan);

}  // namespace clawrun::child
