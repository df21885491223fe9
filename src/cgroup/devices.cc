#include "cgroup/devices.h"

#include <linux/bpf.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>

#include "cgroup/device_program.h"

namespace clawrun::cgroup {

namespace {

// By this name an update finds the program of an earlier one: bpf(2) keeps 15 characters.
constexpr std::string_view kProgramName = "clawrun_dev";

// The kernel allows this many programs of one type on one group (BPF_CGROUP_MAX_PROGS).
constexpr std::size_t kMaxPrograms = 64;

// How often another process may change the programs of the group between our look and our change.
constexpr int kAttempts = 64;

constexpr const char* kPrivileges =
    "it needs CAP_SYS_ADMIN, or from Linux 5.8 on CAP_BPF and CAP_NET_ADMIN, outside of any user namespace: run clawrun as root, "
    "or "
    "leave the device policy out";

std::uint64_t address_of(const void* pointer) {
  return reinterpret_cast<std::uintptr_t>(pointer);
}

bpf_attr no_attributes() {
  bpf_attr attributes;
  std::memset(&attributes, 0, sizeof attributes);  // the kernel refuses bytes that it does not know unless they are zero
  return attributes;
}

int bpf(bpf_cmd command, bpf_attr& attributes) {
  return static_cast<int>(::syscall(SYS_bpf, command, &attributes, sizeof attributes));
}

Failure refused(std::string_view doing, int error, ErrorKind kind, std::string_view reason) {
  Failure failure = fail_errno(doing, error);
  failure.error().kind = kind;
  failure.error().message.append("; ").append(reason);
  return failure;
}

Failure load_failure(int error) {
  constexpr std::string_view kDoing = "loading the eBPF program of the device policy";
  switch (error) {
    case EPERM:
      return refused(kDoing, error, ErrorKind::kUnsupported,
                     std::string(kPrivileges) +
                         ". Before Linux 5.11 a small limit of locked memory has the same effect: ulimit -l "
                         "unlimited");
    case EINVAL:
      return refused(kDoing, error, ErrorKind::kUnsupported,
                     "this kernel has no device programs: run one of Linux 4.15 or newer with CONFIG_CGROUP_BPF=y");
    case ENOSYS:
      return refused(
          kDoing, error, ErrorKind::kUnsupported,
          "bpf(2) is not in this kernel, or a seccomp filter hides it: run one with CONFIG_BPF_SYSCALL=y, or outside of "
          "the filter");
    case EACCES:
      return refused(kDoing, error, ErrorKind::kInternal, "the kernel's verifier does not accept it");
    default:
      return fail_errno(kDoing, error);
  }
}

Failure attach_failure(int error) {
  constexpr std::string_view kDoing = "attaching the eBPF program of the device policy to its cgroup";
  switch (error) {
    case EPERM:
      return refused(
          kDoing, error, ErrorKind::kUnsupported,
          "CAP_NET_ADMIN outside of any user namespace is missing, or a program that allows no other beside it is on this "
          "group or on one above: bpftool cgroup tree shows it");
    case EBADF:
      return refused(kDoing, error, ErrorKind::kUnsupported, "the group is not one of cgroup v2");
    case ENOENT:
      return refused(kDoing, error, ErrorKind::kSystem, "the group has been removed");
    case E2BIG:
      return refused(
          kDoing, error, ErrorKind::kUnsupported,
          "the group has " + std::to_string(kMaxPrograms) + " device programs already: detach some with bpftool cgroup detach");
    case EINVAL:
      return refused(kDoing, error, ErrorKind::kUnsupported,
                     "this kernel takes no program beside others: run Linux 4.15 or newer");
    default:
      return fail_errno(kDoing, error);
  }
}

using Ids = std::vector<std::uint32_t>;

Result<Ids> attached_ids(int cgroup_fd) {
  std::array<std::uint32_t, kMaxPrograms> ids{};
  bpf_attr attributes = no_attributes();
  attributes.query.target_fd = static_cast<std::uint32_t>(cgroup_fd);
  attributes.query.attach_type = BPF_CGROUP_DEVICE;
  attributes.query.prog_ids = address_of(ids.data());
  attributes.query.prog_cnt = kMaxPrograms;
  if (bpf(BPF_PROG_QUERY, attributes) != 0) return attach_failure(errno);
  return Ids(ids.begin(), ids.begin() + attributes.query.prog_cnt);
}

bool has_our_name(const UniqueFd& program) {
  bpf_prog_info info;
  std::memset(&info, 0, sizeof info);
  bpf_attr attributes = no_attributes();
  attributes.info.bpf_fd = static_cast<std::uint32_t>(program.get());
  attributes.info.info_len = sizeof info;
  attributes.info.info = address_of(&info);
  return bpf(BPF_OBJ_GET_INFO_BY_FD, attributes) == 0 &&
         std::string_view(info.name, strnlen(info.name, sizeof info.name)) == kProgramName;
}

// The programs of earlier calls on this very group.
Result<std::vector<UniqueFd>> own_programs(int cgroup_fd) {
  std::vector<UniqueFd> own;
  const Ids ids = TRY(attached_ids(cgroup_fd));
  for (const std::uint32_t id : ids) {
    bpf_attr attributes = no_attributes();
    attributes.prog_id = id;
    UniqueFd program(bpf(BPF_PROG_GET_FD_BY_ID, attributes));
    if (!program.valid() && errno == ENOENT) continue;  // detached meanwhile
    if (!program.valid())
      return refused("looking at the device programs of a cgroup", errno, ErrorKind::kUnsupported,
                     "CAP_SYS_ADMIN is needed to tell ours from those of others: run clawrun as root");
    if (has_our_name(program)) own.push_back(std::move(program));
  }
  return own;
}

bpf_attr attach_attributes(int cgroup_fd, const UniqueFd& program) {
  bpf_attr attributes = no_attributes();
  attributes.target_fd = static_cast<std::uint32_t>(cgroup_fd);
  attributes.attach_bpf_fd = static_cast<std::uint32_t>(program.get());
  attributes.attach_type = BPF_CGROUP_DEVICE;
  return attributes;
}

// 0, or the errno.
int attach(int cgroup_fd, const UniqueFd& program) {
  bpf_attr attributes = attach_attributes(cgroup_fd, program);
  attributes.attach_flags = BPF_F_ALLOW_MULTI;
  return bpf(BPF_PROG_ATTACH, attributes) == 0 ? 0 : errno;
}

int replace(int cgroup_fd, const UniqueFd& old_program, const UniqueFd& program) {
  bpf_attr attributes = attach_attributes(cgroup_fd, program);
  attributes.attach_flags = BPF_F_ALLOW_MULTI | BPF_F_REPLACE;
  attributes.replace_bpf_fd = static_cast<std::uint32_t>(old_program.get());
  return bpf(BPF_PROG_ATTACH, attributes) == 0 ? 0 : errno;
}

Result<> detach(int cgroup_fd, const UniqueFd& program) {
  bpf_attr attributes = attach_attributes(cgroup_fd, program);
  // ENOENT: another process was first.
  if (bpf(BPF_PROG_DETACH, attributes) != 0 && errno != ENOENT)
    return fail_errno("detaching the previous device program from a cgroup");
  return {};
}

}  // namespace

std::vector<DeviceRule> default_device_rules() {
  struct Node {
    std::uint32_t major;
    std::optional<std::uint32_t> minor;
  };
  constexpr Node kNodes[] = {
      {1, 3}, {1, 5}, {1, 7},
      {1, 8}, {1, 9},                       // null, zero, full, random, urandom
      {5, 0}, {5, 2}, {136, std::nullopt},  // tty, ptmx, the first 2^20 pseudo-terminals
  };
  std::vector<DeviceRule> rules;
  for (const char type : {'c', 'b'}) rules.push_back({.type = type, .read = false, .write = false});
  for (const Node& node : kNodes) rules.push_back({.type = 'c', .major = node.major, .minor = node.minor});
  return rules;
}

Result<UniqueFd> load_device_program(std::span<const DeviceRule> rules) {
  const DeviceTables tables = TRY(tabulate(rules));
  const std::vector<bpf_insn> code = compile_device_program(tables);
  bpf_attr attributes = no_attributes();
  attributes.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
  attributes.insn_cnt = static_cast<std::uint32_t>(code.size());
  attributes.insns = address_of(code.data());
  attributes.license = address_of("Apache-2.0");
  kProgramName.copy(attributes.prog_name, sizeof attributes.prog_name - 1);
  int error = EAGAIN;
  // EAGAIN: a signal came while the kernel verified the program.
  for (int attempt = 0; attempt < kAttempts && error == EAGAIN; ++attempt) {
    UniqueFd program(bpf(BPF_PROG_LOAD, attributes));
    if (program.valid()) return program;
    error = errno;
  }
  return load_failure(error);
}

Result<> attach_device_program(int cgroup_fd, const UniqueFd& program) {
  int error = ENOENT;
  for (int attempt = 0; attempt < kAttempts && error == ENOENT; ++attempt) {
    // Only what was there before ours is detached: of two processes that do this at once, one program at least stays.
    const std::vector<UniqueFd> own = TRY(own_programs(cgroup_fd));
    std::size_t left = 0;
    error = EINVAL;
    if (!own.empty()) error = replace(cgroup_fd, own.front(), program);
    if (error == 0) left = 1;
    if (error == EINVAL) error = attach(cgroup_fd, program);  // nothing to replace, or a kernel before 5.6
    for (; error == 0 && left < own.size(); ++left) TRY(detach(cgroup_fd, own[left]));
  }
  if (error != 0) return attach_failure(error);
  return {};
}

Result<> attach_device_program(int cgroup_fd, std::span<const DeviceRule> rules) {
  const UniqueFd program = TRY(load_device_program(rules));
  return attach_device_program(cgroup_fd, program);
}

}  // namespace clawrun::cgroup
