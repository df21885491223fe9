#include "container/namespaces.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/netlink.h>
#include <linux/sched.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>

#include "base/text.h"
#include "container/confine.h"
#include "net/netlink.h"
#include "sys/sys.h"

namespace clawrun::container {

namespace {

constexpr unsigned long kGetNamespaceType = 0xb703;  // NS_GET_NSTYPE: ioctl_ns(2)

struct KindRow {
  std::uint64_t flag;
  const char* name;  // in config.json
  const char* file;  // below /proc/PID/ns
};

constexpr KindRow kKinds[] = {{CLONE_NEWUSER, "user", "user"},       {CLONE_NEWIPC, "ipc", "ipc"},
                              {CLONE_NEWUTS, "uts", "uts"},          {CLONE_NEWNET, "network", "net"},
                              {CLONE_NEWPID, "pid", "pid"},          {CLONE_NEWTIME, "time", "time"},
                              {CLONE_NEWCGROUP, "cgroup", "cgroup"}, {CLONE_NEWNS, "mount", "mnt"}};

const char* name_of(std::uint64_t flag) {
  for (const KindRow& row : kKinds)
    if (row.flag == flag) return row.name;
  return "unknown";
}

// In the order of the table: the mount namespace last, because paths are others after it.
void sort_by_kind(std::vector<JoinedNamespace>& joined) {
  const auto rank = [](const JoinedNamespace& one) {
    return std::ranges::find(kKinds, one.flag, &KindRow::flag) - std::begin(kKinds);
  };
  std::ranges::sort(joined, {}, rank);
}

bool same_file(int a, const std::string& b) {
  struct stat one {};
  struct stat other {};
  return ::fstat(a, &one) == 0 && ::stat(b.c_str(), &other) == 0 && one.st_dev == other.st_dev && one.st_ino == other.st_ino;
}

}  // namespace

bool Namespaces::joins(std::uint64_t flag) const {
  return std::ranges::any_of(joined, [&](const JoinedNamespace& one) { return one.flag == flag; });
}

Result<Namespaces> open_namespaces(const oci::Config& config) {
  Namespaces namespaces;
  for (std::size_t i = 0; i < config.linux.namespaces.size(); ++i) {
    const oci::Namespace& row = config.linux.namespaces[i];
    if (row.path.empty()) {
      namespaces.created |= row.flag;
      continue;
    }
    const std::string place = "linux.namespaces[" + std::to_string(i) + "].path " + quoted(row.path);
    auto fd = sys::open(row.path, O_RDONLY | O_NONBLOCK);
    if (!fd) return while_doing(place, fd.error());
    const int kind = ::ioctl(fd->get(), kGetNamespaceType);
    if (kind < 0 || static_cast<std::uint64_t>(kind) != row.flag)
      return fail(ErrorKind::kInvalid, place + ": not a " + name_of(row.flag) + " namespace");
    namespaces.joined.push_back({row.flag, std::move(*fd)});
  }
  sort_by_kind(namespaces.joined);
  return namespaces;
}

Result<Namespaces> namespaces_of(pid_t pid) {
  Namespaces namespaces;
  for (const KindRow& row : kKinds) {
    auto fd = sys::open("/proc/" + std::to_string(pid) + "/ns/" + row.file, O_RDONLY);
    if (!fd && fd.error().errno_value == ENOENT) continue;  // a kernel without this kind, or no such process
    if (!fd) return while_doing("opening the container's " + std::string(row.name) + " namespace", fd.error());
    if (!same_file(fd->get(), std::string("/proc/self/ns/") + row.file)) namespaces.joined.push_back({row.flag, std::move(*fd)});
  }
  sort_by_kind(namespaces.joined);
  return namespaces;
}

Result<> join_namespaces(const Namespaces& namespaces) {
  const bool has_user = namespaces.joins(CLONE_NEWUSER);
  std::vector<const JoinedNamespace*> later;
  for (const JoinedNamespace& one : namespaces.joined) {
    if (one.flag == CLONE_NEWUSER || (has_user && one.flag == CLONE_NEWNS)) continue;
    if (::setns(one.fd.get(), static_cast<int>(one.flag)) == 0) continue;
    if (!has_user || errno != EPERM) return fail_errno("joining the " + std::string(name_of(one.flag)) + " namespace");
    later.push_back(&one);
  }
  for (const JoinedNamespace& one : namespaces.joined) {
    if (one.flag == CLONE_NEWNS && has_user) later.push_back(&one);
    if (one.flag != CLONE_NEWUSER) continue;
    if (::setns(one.fd.get(), CLONE_NEWUSER) != 0) return fail_errno("joining the user namespace");
    // Its ids are ours only now: the old ones may not even be mapped.
    if (::setresgid(0, 0, 0) != 0 || ::setresuid(0, 0, 0) != 0) return fail_errno("becoming root in the user namespace");
    (void)::setgroups(0, nullptr);
  }
  std::ranges::stable_sort(later, {}, [](const JoinedNamespace* one) { return one->flag == CLONE_NEWNS; });
  for (const JoinedNamespace* one : later)
    if (::setns(one->fd.get(), static_cast<int>(one->flag)) != 0)
      return fail_errno("joining the " + std::string(name_of(one->flag)) + " namespace");
  return {};
}

Result<> make_time_namespace(const oci::Config& config, const Proc& proc) {
  if (::unshare(CLONE_NEWTIME) != 0) return fail_errno("making the time namespace");
  std::string text;
  for (const auto& [clock, offset] : config.linux.time_offsets)
    text += clock + " " + std::to_string(offset.seconds) + " " + std::to_string(offset.nanoseconds) + "\n";
  if (text.empty()) return {};
  if (auto written = proc.write_self("timens_offsets", text); !written) return while_doing("linux.timeOffsets", written.error());
  return {};
}

Result<> bring_up_loopback() {
  const UniqueFd socket(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  if (!socket.valid()) return fail_errno("opening a netlink socket");
  const std::string_view request = net::loopback_up_request();
  sockaddr_nl kernel{};
  kernel.nl_family = AF_NETLINK;
  if (::sendto(socket.get(), request.data(), request.size(), 0, reinterpret_cast<const sockaddr*>(&kernel), sizeof kernel) < 0)
    return fail_errno("bringing up the loopback interface");
  struct {
    nlmsghdr header;
    nlmsgerr error;
    char quoted[256];
  } answer{};
  if (::recv(socket.get(), &answer, sizeof answer, 0) < 0) return fail_errno("bringing up the loopback interface");
  if (answer.header.nlmsg_type == NLMSG_ERROR && answer.error.error != 0)
    return fail_errno("bringing up the loopback interface", -answer.error.error);
  return {};
}

}  // namespace clawrun::container
