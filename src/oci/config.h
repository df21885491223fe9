// config.json and process.json of the OCI runtime specification 1.3 as plain data, in the specification's own words.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace clawrun::oci {

// runtime-spec config.md, "User".
struct User {
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::optional<std::uint32_t> umask;
  std::vector<std::uint32_t> additional_gids;
};

// Bit n: capability n. A name that this kernel does not know is left out, and listed.
struct Capabilities {
  std::uint64_t bounding = 0;
  std::uint64_t effective = 0;
  std::uint64_t inheritable = 0;
  std::uint64_t permitted = 0;
  std::uint64_t ambient = 0;
};

struct Rlimit {
  int resource = 0;  // RLIMIT_*
  std::uint64_t hard = 0;
  std::uint64_t soft = 0;
};

struct ConsoleSize {
  std::uint16_t height = 0;
  std::uint16_t width = 0;
};

// sched_setattr(2). Nice and priority are those of the policy that uses them.
struct Scheduler {
  int policy = 0;  // SCHED_*
  std::int32_t nice = 0;
  std::int32_t priority = 0;
  std::uint64_t flags = 0;  // SCHED_FLAG_*
  std::uint64_t runtime_ns = 0;
  std::uint64_t deadline_ns = 0;
  std::uint64_t period_ns = 0;
};

// ioprio_set(2).
struct IoPriority {
  int io_class = 0;  // 1 realtime, 2 best effort, 3 idle
  int priority = 0;  // 0..7
};

// Lists of processors as in cpuset(7), "0-2,7".
struct ExecCpuAffinity {
  std::string initial;
  std::string final;
};

struct Process {
  bool terminal = false;
  std::optional<ConsoleSize> console_size;
  User user;
  std::vector<std::string> args;
  std::vector<std::string> env;
  std::string cwd;
  std::optional<Capabilities> capabilities;  // unset: config.json says nothing, and all sets become empty
  std::vector<std::string> unknown_capabilities;
  std::vector<Rlimit> rlimits;
  bool no_new_privileges = false;
  std::string apparmor_profile;
  std::string selinux_label;
  std::optional<int> oom_score_adj;  // -1000..1000
  std::optional<Scheduler> scheduler;
  std::optional<IoPriority> io_priority;
  std::optional<ExecCpuAffinity> exec_cpu_affinity;
};

struct IdMapping {
  std::uint32_t container_id = 0;
  std::uint32_t host_id = 0;
  std::uint32_t size = 0;
};

// A range of crun's "idmap=uids=…" option: as an IdMapping, with the id outside relative to the container's user namespace
// where it was written with '@'.
struct IdMapRange {
  IdMapping map;
  bool relative = false;
};

// The kernel's meaning of an "options" list: config.md, the table of "Linux mount options".
struct MountOptions {
  std::uint64_t flags = 0;          // MS_* that are set: MS_BIND, MS_REC, MS_REMOUNT, MS_RDONLY, MS_NOSUID, …
  std::uint64_t cleared_flags = 0;  // MS_* that the list takes away ("rw", "suid", "exec", …)
  std::uint64_t propagation =
      0;  // one of MS_SHARED, MS_SLAVE, MS_PRIVATE, MS_UNBINDABLE, with MS_REC for the r-forms; 0: none named
  std::uint64_t recursive_set = 0;  // MOUNT_ATTR_* of mount_setattr(2) with AT_RECURSIVE: "rro", "rnosuid", "rnoatime", …
  std::uint64_t recursive_clear = 0;
  bool idmap = false;  // "idmap" or "ridmap", or mappings without either
  bool recursive_idmap = false;
  std::vector<IdMapRange> idmap_uids;  // "idmap=…" with a map of its own; Mount has it resolved in uid_mappings
  std::vector<IdMapRange> idmap_gids;
  bool tmpcopyup = false;
  bool copy_symlink = false;          // crun: a source that is a symbolic link becomes one, instead of a mount
  bool source_nofollow = false;       // crun: "src-nofollow"
  bool destination_nofollow = false;  // crun: "dest-nofollow"
  std::string data;                   // what is left, for the file system, joined by commas
};

struct Mount {
  std::string destination;
  std::string type;    // "" is "none"; "bind" implies MS_BIND
  std::string source;  // as it stands; relative to the bundle for binds
  MountOptions options;
  std::vector<std::string> option_words;  // as they stand
  std::vector<IdMapping> uid_mappings;
  std::vector<IdMapping> gid_mappings;
};

struct Root {
  std::string path;
  bool readonly = false;
};

struct Hook {
  std::string path;  // absolute
  std::vector<std::string> args;
  std::vector<std::string> env;
  std::optional<std::uint32_t> timeout_s;  // > 0
};

struct Hooks {
  std::vector<Hook> prestart;
  std::vector<Hook> create_runtime;
  std::vector<Hook> create_container;
  std::vector<Hook> start_container;
  std::vector<Hook> poststart;
  std::vector<Hook> poststop;
};

struct Namespace {
  std::uint64_t flag = 0;  // CLONE_NEW*
  std::string path;        // "": a new one
};

struct TimeOffset {
  std::int64_t seconds = 0;
  std::uint32_t nanoseconds = 0;
};

struct Device {
  char type = 'c';  // 'c', 'b', 'p' ("u" is 'c')
  std::string path;
  std::uint32_t major = 0;
  std::uint32_t minor = 0;
  std::optional<std::uint32_t> file_mode;
  std::optional<std::uint32_t> uid;
  std::optional<std::uint32_t> gid;
};

struct NetDevice {
  std::string host_name;  // the key
  std::string name;       // inside; "": the same
};

struct DeviceCgroupRule {
  bool allow = false;
  char type = 'a';                    // 'a', 'c', 'b'
  std::optional<std::int64_t> major;  // unset or -1: any
  std::optional<std::int64_t> minor;
  std::string access;  // of the letters r, w, m; "" is all of them
};

struct Memory {
  std::optional<std::int64_t> limit;  // bytes; -1: none
  std::optional<std::int64_t> reservation;
  std::optional<std::int64_t> swap;  // memory and swap together
  std::optional<std::int64_t> kernel;
  std::optional<std::int64_t> kernel_tcp;
  std::optional<std::uint64_t> swappiness;
  std::optional<bool> disable_oom_killer;
  std::optional<bool> use_hierarchy;
  std::optional<bool> check_before_update;
};

struct Cpu {
  std::optional<std::uint64_t> shares;
  std::optional<std::int64_t> quota;  // µs; -1: none
  std::optional<std::uint64_t> burst;
  std::optional<std::uint64_t> period;
  std::optional<std::int64_t> realtime_runtime;
  std::optional<std::uint64_t> realtime_period;
  std::string cpus;
  std::string mems;
  std::optional<std::int64_t> idle;
};

struct WeightDevice {
  std::int64_t major = 0;
  std::int64_t minor = 0;
  std::optional<std::uint16_t> weight;
  std::optional<std::uint16_t> leaf_weight;
};

struct ThrottleDevice {
  std::int64_t major = 0;
  std::int64_t minor = 0;
  std::uint64_t rate = 0;
};

struct BlockIo {
  std::optional<std::uint16_t> weight;
  std::optional<std::uint16_t> leaf_weight;
  std::vector<WeightDevice> weight_device;
  std::vector<ThrottleDevice> throttle_read_bps;
  std::vector<ThrottleDevice> throttle_write_bps;
  std::vector<ThrottleDevice> throttle_read_iops;
  std::vector<ThrottleDevice> throttle_write_iops;
};

struct HugepageLimit {
  std::string page_size;  // "2MB"
  std::uint64_t limit = 0;
};

struct InterfacePriority {
  std::string name;
  std::uint32_t priority = 0;
};

struct Network {
  std::optional<std::uint32_t> class_id;
  std::vector<InterfacePriority> priorities;
};

struct Rdma {
  std::optional<std::uint32_t> hca_handles;
  std::optional<std::uint32_t> hca_objects;
};

struct Resources {
  std::vector<DeviceCgroupRule> devices;
  std::optional<Memory> memory;
  std::optional<Cpu> cpu;
  std::optional<std::int64_t> pids_limit;  // 0 and less: none, as runc has it
  std::optional<BlockIo> block_io;
  std::vector<HugepageLimit> hugepage_limits;
  std::optional<Network> network;
  std::map<std::string, Rdma> rdma;
  std::map<std::string, std::string> unified;
};

// linux.seccomp, in the words of seccomp.h of the kernel where there are numbers.
struct SyscallArg {
  std::uint32_t index = 0;
  std::uint64_t value = 0;
  std::uint64_t value_two = 0;
  std::string op;  // SCMP_CMP_*
};

struct Syscall {
  std::vector<std::string> names;
  std::string action;  // SCMP_ACT_*
  std::optional<std::uint32_t> errno_ret;
  std::vector<SyscallArg> args;
};

struct Seccomp {
  std::string default_action;
  std::optional<std::uint32_t> default_errno_ret;
  std::vector<std::string> architectures;  // SCMP_ARCH_*
  std::vector<std::string> flags;          // SECCOMP_FILTER_FLAG_*
  bool flags_given = false;                // "flags" is there, if only as []: without it there is a default
  std::string listener_path;
  std::string listener_metadata;
  std::vector<Syscall> syscalls;
};

struct IntelRdt {
  std::string clos_id;
  std::vector<std::string> schemata;
  std::string l3_cache_schema;
  std::string mem_bw_schema;
  bool enable_monitoring = false;
};

// set_mempolicy(2).
struct MemoryPolicy {
  int mode = 0;  // MPOL_*
  std::string nodes;
  unsigned flags = 0;  // MPOL_F_*
};

struct Linux {
  std::vector<Namespace> namespaces;
  std::vector<IdMapping> uid_mappings;
  std::vector<IdMapping> gid_mappings;
  std::map<std::string, TimeOffset> time_offsets;  // "monotonic", "boottime"
  std::vector<Device> devices;
  std::vector<NetDevice> net_devices;
  std::string cgroups_path;
  std::optional<Resources> resources;
  std::map<std::string, std::string> sysctl;
  std::optional<Seccomp> seccomp;
  std::uint64_t rootfs_propagation = 0;  // MS_SHARED, …, with MS_REC for the r-forms; 0: not named
  std::vector<std::string> masked_paths;
  std::vector<std::string> readonly_paths;
  std::string mount_label;
  std::optional<IntelRdt> intel_rdt;
  std::optional<MemoryPolicy> memory_policy;
  std::optional<std::uint32_t> personality;  // PER_LINUX or PER_LINUX32
};

struct Config {
  std::string oci_version;
  Root root;
  std::vector<Mount> mounts;
  std::optional<Process> process;  // may be missing until `start`
  std::string hostname;
  std::string domainname;
  Hooks hooks;
  std::map<std::string, std::string> annotations;
  Linux linux;
};

inline constexpr std::size_t kMaxConfigBytes = std::size_t{16} << 20U;

// Unknown members are ignored, as the specification says; a known one of the wrong type or an impossible value is an error of
// kind kInvalid whose message begins with its JSON path: `linux.resources.memory.limit: …`. Pure; thread-safe.
Result<Config> parse_config(std::string_view json);

// Whether the parts of a config fit together, as far as the config alone says: what is set in a namespace has that namespace
// among linux.namespaces, a sysctl belongs to one, a new user namespace has its maps, SCMP_ACT_NOTIFY a listener. For `create`;
// parse_config does not call it. Errors as those of parse_config.
Result<> check_config(const Config& config);

// The file of `exec --process`. A path begins at the process itself: `user.uid: …`.
Result<Process> parse_process(std::string_view json);

// What to tell of names in its capabilities that are not known, and so ignored, in runc's words; "" where there are none.
std::string ignored_capabilities(const Process& process);

// What `update --resources` reads: linux.resources alone.
Result<Resources> parse_resources(std::string_view json);

// One "options" list, also for `--mount` like words of others; `path` begins the message of an error.
Result<MountOptions> parse_mount_options(const std::vector<std::string>& words, std::string_view path);

}  // namespace clawrun::oci
