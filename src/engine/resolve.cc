#include "engine/resolve.h"

#include <fcntl.h>
#include <linux/nsfs.h>
#include <linux/openat2.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <termios.h>
#include <unistd.h>

#include <cstdlib>

#include "base/text.h"
#include "cgroup/place.h"
#include "host/core_sched.h"
#include "host/ipv6.h"
#include "net/netlink.h"
#include "rootfs/store.h"
#include "seccomp/cache.h"
#include "sys/sys.h"

namespace clawrun::engine {

namespace {

constexpr std::size_t kMaxEnvironmentFile = 1 << 20U;

Result<> read_environment_file(const std::string& path, std::vector<spec::Variable>& into) {
  const std::string text = TRY(sys::read_file(path, kMaxEnvironmentFile));
  std::size_t number = 0;
  for (std::string_view line : split(text, '\n')) {
    ++number;
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty() || line.starts_with('#')) continue;
    const std::size_t equals = line.find('=');
    if (equals == 0) return fail(ErrorKind::kInvalid, path + ":" + std::to_string(number) + ": no variable name before the =");
    spec::Variable variable{std::string(line.substr(0, equals)), std::nullopt};
    if (equals != std::string_view::npos) variable.value = line.substr(equals + 1);
    into.push_back(std::move(variable));
  }
  return {};
}

Result<> make_absolute(std::string& path) {
  if (path.starts_with('/')) return {};
  char directory[4096];
  if (::getcwd(directory, sizeof directory) == nullptr || directory[0] != '/')
    return fail_errno("finding the current directory for " + quoted(path));
  path = std::string(directory) + "/" + path;
  return {};
}

Result<plan::SourceFacts> facts_of(const std::string& option, const std::string& path, bool must_be_directory) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return fail_errno(option + ": " + quoted(path));
  if (must_be_directory && !S_ISDIR(info.st_mode))
    return fail(ErrorKind::kInvalid, option + ": " + quoted(path) + " is not a directory");
  return plan::SourceFacts{S_ISDIR(info.st_mode), info.st_uid, info.st_gid};
}

// Looked up as the child will: inside the directory, whatever its symbolic links say.
bool exists_below(int directory, const std::string& target) {
  open_how how{};
  how.flags = O_PATH | O_CLOEXEC;
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
  const UniqueFd found(static_cast<int>(::syscall(SYS_openat2, directory, target.c_str(), &how, sizeof how)));
  if (found.valid() || errno != ENOSYS) return found.valid();
  // Without openat2 a link may lead astray here, which at worst leaves a mount point to be found missing later.
  struct stat info {};
  return ::fstatat(directory, target.c_str() + 1, &info, AT_SYMLINK_NOFOLLOW) == 0;
}

Result<> use_directory(plan::RootFacts& root, const spec::ValidSpec& spec, std::string path) {
  TRY(make_absolute(path));
  struct stat host {};
  struct stat wanted {};
  if (::stat("/", &host) == 0 && ::stat(path.c_str(), &wanted) == 0 && host.st_dev == wanted.st_dev &&
      host.st_ino == wanted.st_ino)
    return fail(ErrorKind::kInvalid,
                "--rootfs " + quoted(path) + ": that is the host itself; --rootfs host gives its programs without its data");
  root.is_host = false;
  root.source = TRY(facts_of("--rootfs", path, true));
  const UniqueFd directory = TRY(sys::open(path, O_PATH | O_DIRECTORY));
  for (const std::string& target : plan::mount_targets(spec))
    if (!exists_below(directory.get(), target)) root.missing.push_back(target);
  root.path = std::move(path);
  return {};
}

Result<plan::RootFacts> find_root(const spec::ValidSpec& spec) {
  plan::RootFacts root;
  root.name = spec->rootfs;
  rootfs::Stores stores;
  if (spec->rootfs != "host") stores = TRY(rootfs::stores_of_caller());
  if (spec->rootfs.empty()) {
    const auto path = TRY(rootfs::find_default(stores));
    if (path) {
      root.name = "default";
      TRY(use_directory(root, spec, *path));
      return root;
    }
    root.name = "host";
  }
  if (root.name == "host") {
    root.entries = host::host_root_entries();
    return root;
  }
  if (root.name.find('/') != std::string::npos || root.name == "." || root.name == "..") {
    TRY(use_directory(root, spec, root.name));
    return root;
  }
  const std::string path = TRY(rootfs::find(root.name, stores));
  TRY(use_directory(root, spec, path));
  return root;
}

// A directory as a stream would be a way to the host's files: openat(2) below it needs no path (CVE-2024-21626).
Result<> check_descriptor(int fd, const std::string& what) {
  struct stat info {};
  if (::fstat(fd, &info) != 0) return fail_errno(what);
  if (S_ISDIR(info.st_mode))
    return fail(ErrorKind::kInvalid, what + " is a directory of the host, which is not passed on: bind it with --bind instead");
  return {};
}

std::uint64_t hard_limit(int resource) {
  rlimit limit{};
  if (::getrlimit(static_cast<__rlimit_resource>(resource), &limit) != 0 || limit.rlim_max == RLIM_INFINITY) return UINT64_MAX;
  return limit.rlim_max;
}

// The highest number that the kernel knows: PR_CAPBSET_READ answers EINVAL above it (prctl(2)).
std::uint32_t last_capability() {
  std::uint32_t last = 40;
  while (last < 63 && ::prctl(PR_CAPBSET_READ, last + 1, 0, 0, 0) >= 0) ++last;
  while (last > 0 && ::prctl(PR_CAPBSET_READ, last, 0, 0, 0) < 0) --last;
  return last;
}

Result<> gather_descriptors(plan::Inputs& inputs, const spec::SandboxSpec& spec) {
  constexpr const char* kNames[] = {"standard input", "standard output", "standard error"};
  for (int fd = 0; fd < 3; ++fd) {
    if (auto checked = check_descriptor(fd, kNames[fd]); !checked && checked.error().errno_value != EBADF) return checked;
    termios mode{};
    if (::tcgetattr(fd, &mode) == 0) inputs.streams[fd] = plan::StreamFacts::kTerminal;
  }
  for (const int fd : spec.preserve_fds) TRY(check_descriptor(fd, "--preserve-fd " + std::to_string(fd)));
  return {};
}

// "8:0" stays; a device node becomes its numbers. That a partition has none of its own limits, the kernel says.
Result<> resolve_disk(std::string& device) {
  const auto parts = split(device, ':');
  if (parts.size() == 2 && parse_unsigned(parts[0], 4095) && parse_unsigned(parts[1], 1 << 20U)) return {};
  struct stat info {};
  if (::stat(device.c_str(), &info) != 0) return fail_errno("--io-max: " + quoted(device));
  if (!S_ISBLK(info.st_mode))
    return fail(ErrorKind::kInvalid, "--io-max: " + quoted(device) + " is not a block device; lsblk lists them");
  device = std::to_string(major(info.st_rdev)) + ":" + std::to_string(minor(info.st_rdev));
  return {};
}

Result<plan::DeviceFacts> device_facts(const spec::Device& device) {
  struct stat info {};
  if (::lstat(device.path.c_str(), &info) != 0) return fail_errno("--device: " + quoted(device.path));
  if (!S_ISCHR(info.st_mode) && !S_ISBLK(info.st_mode))
    return fail(ErrorKind::kInvalid, "--device: " + quoted(device.path) + " is not a device node");
  return plan::DeviceFacts{S_ISBLK(info.st_mode), major(info.st_rdev), minor(info.st_rdev)};
}

// Where the sandbox's cgroup may be, and what the default limits are counted from.
Result<> gather_cgroup(plan::Inputs& inputs, const spec::SandboxSpec& spec) {
  const std::vector<std::string_view> wanted = plan::wanted_controllers(spec, inputs.host);
  if (wanted.empty() && spec.cgroup_path.empty() && spec.cgroup_driver == cgroup::DriverChoice::kAuto) return {};
  // Without /proc there is nothing to be found, which is said only where a limit was asked for.
  const cgroup::View view = cgroup::current_view().value_or(cgroup::View{});
  inputs.cgroup_place =
      TRY(cgroup::find_place(view, {.driver = spec.cgroup_driver, .path = spec.cgroup_path, .controllers = wanted}));
  if (!spec.limits.memory_bytes) inputs.available_memory_bytes = cgroup::available_memory_bytes();
  return {};
}

// Where ip-netns(8) has the namespaces of a name, and the files that replace those of /etc in them.
Result<> find_network_namespace(plan::Inputs& inputs, const std::string& words) {
  const bool is_name = words.find('/') == std::string::npos;
  inputs.network_namespace = is_name ? "/run/netns/" + words : words;
  TRY(make_absolute(inputs.network_namespace));
  auto file = sys::open(inputs.network_namespace, O_RDONLY | O_NONBLOCK);
  if (!file) return while_doing("--network ns:" + words, file.error());
  if (::ioctl(file->get(), NS_GET_NSTYPE) != CLONE_NEWNET)
    return fail(ErrorKind::kInvalid, "--network ns: " + quoted(inputs.network_namespace) + " is not a network namespace");
  const std::string own = "/etc/netns/" + words + "/resolv.conf";
  if (is_name && ::access(own.c_str(), R_OK) == 0) inputs.resolver = own;
  return {};
}

Result<> gather_network(plan::Inputs& inputs, const spec::SandboxSpec& spec) {
  inputs.loopback_request = net::loopback_up_request();
  inputs.resolver = "/etc/resolv.conf";
  if (spec.network == spec::Network::kAllow) inputs.has_ipv6 = host::new_network_has_ipv6();
  if (spec.network == spec::Network::kNamespace) return find_network_namespace(inputs, spec.network_namespace);
  return {};
}

}  // namespace

Result<> resolve_words(spec::SandboxSpec& spec) {
  std::vector<spec::Variable> variables;
  for (const std::string& file : spec.environment_files)
    if (auto read = read_environment_file(file, variables); !read) return while_doing("--env-file", read.error());
  for (spec::Variable& variable : spec.environment) variables.push_back(std::move(variable));
  for (spec::Variable& variable : variables) {
    if (variable.value || variable.name.find('\0') != std::string::npos) continue;
    if (const char* value = ::getenv(variable.name.c_str()); value != nullptr) variable.value = value;
  }
  spec.environment = std::move(variables);
  spec.environment_files.clear();
  if (spec.workspace) TRY(make_absolute(spec.workspace->source));
  for (spec::Bind& bind : spec.binds) TRY(make_absolute(bind.source));
  if (!spec.outgoing.log.empty()) TRY(make_absolute(spec.outgoing.log));
  for (cgroup::IoMax& limit : spec.limits.io_max) TRY(resolve_disk(limit.device));
  return {};
}

Result<plan::Inputs> gather_inputs(const spec::ValidSpec& spec) {
  plan::Inputs inputs;
  inputs.host = host::gather();
  inputs.root = TRY(find_root(spec));
  if (spec->workspace) inputs.workspace = TRY(facts_of("--workspace", spec->workspace->source, true));
  for (const spec::Bind& bind : spec->binds) {
    const plan::SourceFacts facts = TRY(facts_of("--bind", bind.source, false));
    inputs.binds.push_back(facts);
  }
  if (spec->seccomp != "unconfined") inputs.seccomp = TRY(seccomp::load(spec->seccomp));
  for (const spec::Device& device : spec->devices) {
    const plan::DeviceFacts facts = TRY(device_facts(device));
    inputs.devices.push_back(facts);
  }
  TRY(gather_cgroup(inputs, *spec));
  if (spec->core_scheduling) inputs.core_scheduling_refusal = host::core_scheduling_refusal();
  TRY(gather_descriptors(inputs, *spec));
  inputs.hard_limits = {hard_limit(RLIMIT_NOFILE), hard_limit(RLIMIT_NPROC), hard_limit(RLIMIT_FSIZE),
                        hard_limit(RLIMIT_STACK),  hard_limit(RLIMIT_CPU),   hard_limit(RLIMIT_AS)};
  inputs.last_capability = last_capability();
  TRY(gather_network(inputs, *spec));
  if (plan::wants_id_range(*spec) && !inputs.host.privileged) {
    // A file that is not there gives no ids, which compile() puts into words.
    if (auto ids = host::sub_id_ranges("/etc/subuid", inputs.host.uid); ids) inputs.sub_uids = std::move(*ids);
    if (auto ids = host::sub_id_ranges("/etc/subgid", inputs.host.uid); ids) inputs.sub_gids = std::move(*ids);
  }
  return inputs;
}

}  // namespace clawrun::engine
