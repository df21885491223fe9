#include "engine/checkpoint.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <csignal>
#include <set>

#include "base/text.h"
#include "cgroup/location.h"
#include "container/landlock.h"
#include "container/mount.h"
#include "engine/containers_manage.h"
#include "oci/descriptors.h"
#include "state/container_process.h"
#include "sys/sys.h"

namespace clawrun::engine {

namespace {

using state::Container;
using state::ContainerRecord;
using state::ContainerStatus;

constexpr const char* kConfigAnnotation = "org.criu.config";
constexpr const char* kInventory = "inventory.img";
constexpr const char* kNullDevice = "/dev/null";
constexpr std::size_t kMaxMountinfoBytes = std::size_t{16} << 20U;
// Everything that CRIU says but its debugging: what its errors are about is in the lines before them.
constexpr std::uint64_t kLogLevel = 4;
constexpr std::chrono::seconds kDyingTime{10};

Result<UniqueFd> open_directory(const std::string& path, const char* option) {
  auto fd = sys::open(path, O_RDONLY | O_DIRECTORY);
  if (!fd) return while_doing(option, fd.error());
  return fd;
}

Result<std::string> link_of(const std::string& path) {
  char target[PATH_MAX];
  const ssize_t size = ::readlink(path.c_str(), target, sizeof target);
  if (size < 0) return fail_errno("reading the link " + path);
  return std::string(target, static_cast<std::size_t>(size));
}

// What freezes the container for CRIU, as one of its files would: its group of v2, or of the v1 freezer. "": none, and CRIU stops
// the processes one by one.
std::string freezer_of(const cgroup::Location& location) {
  for (const auto& group : location.v1)
    if (std::ranges::find(group.controllers, "freezer") != group.controllers.end() && ::access(group.path.c_str(), F_OK) == 0)
      return group.path;
  const std::string& v2 = location.v2.path;
  return !v2.empty() && ::access((v2 + "/cgroup.freeze").c_str(), F_OK) == 0 ? v2 : "";
}

Result<> name_namespaces(CriuRequest& request, const oci::Config& config, pid_t pid) {
  for (const oci::Namespace& one : config.linux.namespaces) {
    const auto* row = std::ranges::find(kExternalNamespaces, one.flag, &ExternalNamespace::flag);
    if (one.path.empty() || row == std::end(kExternalNamespaces)) continue;
    struct stat info {};
    const std::string file = "/proc/" + std::to_string(pid) + "/ns/" + row->file;
    if (::stat(file.c_str(), &info) != 0) return fail_errno("looking at " + file);
    request.option("external", std::string_view(std::string(row->file) + "[" + std::to_string(info.st_ino) + "]:" + row->name));
  }
  return {};
}

// Over a masked directory there is a tmpfs of the container's own, over a file the host's null device.
std::set<std::string, std::less<>> tmpfs_places(std::string_view mountinfo) {
  constexpr std::size_t kPlace = 4;  // proc(5): the fifth field
  std::set<std::string, std::less<>> places;
  for (const std::string_view line : split(mountinfo, '\n')) {
    const auto fields = split(line, ' ');
    if (fields.size() > kPlace && line.find(" - tmpfs ") != std::string_view::npos) places.emplace(fields[kPlace]);
  }
  return places;
}

class Dump {
 public:
  Dump(const CheckpointOptions& options, const ContainerRecord& record, const oci::Config& config)
      : options_(options), record_(record), config_(config), request_(options.pre_dump ? "pre-dump" : "dump") {}

  Result<> run() {
    directories_ = TRY(open_image_directories(options_.criu, ImagesAre::kToBeMade));
    TRY(check_parent());
    TRY(write_descriptors());
    TRY(fill_request());
    CriuSession session = TRY(CriuSession::start({}));
    // Its scripts are none of ours but for this: while nothing hears them CRIU cannot tell that its caller is gone.
    TRY(session.run(request_, directories_.work_path + "/dump.log", [](const Notification&) -> Result<> { return {}; }));
    return {};
  }

 private:
  // Of CRIU, which would follow it to anywhere.
  Result<> check_parent() const {
    if (options_.parent_path.empty()) return {};
    if (options_.parent_path.starts_with('/'))
      return fail(ErrorKind::kUsage, "--parent-path: " + quoted(options_.parent_path) + " must be relative to --image-path");
    const UniqueFd directory(::openat(directories_.images.get(), options_.parent_path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!directory.valid())
      return fail_errno("--parent-path " + quoted(options_.parent_path) + " below " + shown(directories_.images_path));
    return {};
  }

  Result<> write_descriptors() const {
    if (options_.pre_dump) return {};
    oci::StandardStreams streams;
    for (std::size_t i = 0; i < streams.size(); ++i) {
      auto name = link_of("/proc/" + std::to_string(record_.init.pid) + "/fd/" + std::to_string(i));
      // A process may have closed it.
      if (!name && name.error().errno_value != ENOENT) return std::unexpected(name.error());
      if (name) streams[i] = *name;
    }
    // Replaced, not written through: the directory may be that of an earlier checkpoint.
    (void)::unlinkat(directories_.images.get(), oci::kDescriptorsFile, 0);
    const UniqueFd file(
        ::openat(directories_.images.get(), oci::kDescriptorsFile, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!file.valid()) return fail_errno("writing " + shown(directories_.images_path + "/" + oci::kDescriptorsFile));
    return sys::write_all(file.get(), oci::descriptors_json(streams));
  }

  Result<> fill_request() {
    TRY(begin_request(request_, options_.criu, directories_, config_));
    request_.option("log_file", "dump.log");
    request_.option("pid", static_cast<std::uint64_t>(record_.init.pid));
    request_.option("root", record_.rootfs);
    request_.switch_on("leave_running", options_.leave_running);
    request_.switch_on("tcp_skip_in_flight", options_.tcp_skip_in_flight);
    request_.switch_on("track_mem", options_.pre_dump || !options_.parent_path.empty());
    if (!options_.parent_path.empty()) request_.option("parent_img", options_.parent_path);
    if (const std::string freezer = freezer_of(record_.location); !freezer.empty()) request_.option("freeze_cgroup", freezer);
    if (options_.status_fd) request_.descriptor("status_fd", *options_.status_fd);
    if (!options_.page_server_address.empty()) request_.page_server(options_.page_server_address, options_.page_server_port);
    TRY(name_namespaces(request_, config_, record_.init.pid));
    return name_mounts();
  }

  Result<> name_mounts() {
    const std::string mountinfo =
        TRY(sys::read_file("/proc/" + std::to_string(record_.init.pid) + "/mountinfo", kMaxMountinfoBytes));
    const auto own = tmpfs_places(mountinfo);
    for (const ExternalMount& mount : external_mounts(config_, record_.bundle))
      if (mount.source != kNullDevice || !own.contains(mount.place))
        request_.option("external", std::string_view("mnt[" + mount.place + "]:" + mount.place));
    return {};
  }

  const CheckpointOptions& options_;
  const ContainerRecord& record_;
  const oci::Config& config_;
  CriuRequest request_;
  ImageDirectories directories_;
};

}  // namespace

Result<ImageDirectories> open_image_directories(const CriuOptions& options, ImagesAre are) {
  ImageDirectories directories;
  directories.images_path = options.image_path.empty() ? "checkpoint" : options.image_path;
  if (are == ImagesAre::kToBeMade && ::mkdir(directories.images_path.c_str(), 0700) != 0 && errno != EEXIST)
    return fail_errno("--image-path: making " + shown(directories.images_path));
  directories.images = TRY(open_directory(directories.images_path, "--image-path"));
  if (are == ImagesAre::kThere && ::faccessat(directories.images.get(), kInventory, F_OK, 0) != 0)
    return fail(ErrorKind::kInvalid, "--image-path: " + shown(directories.images_path) + " has no " + kInventory +
                                         ": it is no directory that `checkpoint` has written");
  directories.work_path = options.work_path.empty() ? directories.images_path : options.work_path;
  if (!options.work_path.empty() && ::mkdir(options.work_path.c_str(), 0700) != 0 && errno != EEXIST)
    return fail_errno("--work-path: making " + shown(options.work_path));
  directories.work = TRY(open_directory(directories.work_path, "--work-path"));
  return directories;
}

Result<> begin_request(CriuRequest& request, const CriuOptions& options, const ImageDirectories& directories,
                       const oci::Config& config) {
  request.descriptor("images_dir_fd", directories.images.get());
  request.descriptor("work_dir_fd", directories.work.get());
  request.option("log_level", kLogLevel);
  request.switch_on("notify_scripts", true);
  request.switch_on("orphan_pts_master", true);
  request.switch_on("manage_cgroups", true);
  request.option("manage_cgroups_mode", static_cast<std::uint64_t>(options.cgroups_mode));
  request.switch_on("tcp_established", options.tcp_established);
  request.switch_on("tcp_close", options.tcp_close);
  request.switch_on("ext_unix_sk", options.ext_unix_sk);
  request.switch_on("shell_job", options.shell_job);
  request.switch_on("file_locks", options.file_locks);
  request.switch_on("lazy_pages", options.lazy_pages);
  request.switch_on("auto_dedup", options.auto_dedup);
  request.switch_on("link_remap", options.link_remap);
  if (options.empty_network) request.option("empty_ns", std::uint64_t{CLONE_NEWNET});
  const auto file = config.annotations.find(kConfigAnnotation);
  if (file == config.annotations.end() || file->second.empty()) return {};
  if (auto found = sys::open(file->second, O_RDONLY); !found)
    return while_doing(std::string("the annotation ") + kConfigAnnotation, found.error());
  request.option("config_file", file->second);
  return {};
}

std::vector<ExternalMount> external_mounts(const oci::Config& config, const std::string& bundle) {
  std::vector<ExternalMount> mounts;
  for (const oci::Mount& mount : config.mounts)
    if (container::is_bind(mount)) mounts.push_back({mount.destination, container::bind_source(mount, bundle)});
  for (const std::string& path : config.linux.masked_paths) mounts.push_back({path, kNullDevice});
  return mounts;
}

Result<> check_can_be_restored(const oci::Config& config) {
  const auto landlock = TRY(container::landlock_of(config));
  if (landlock)
    return fail(ErrorKind::kUnsupported,
                "the container is confined by Landlock, which CRIU cannot restore: its processes would be free");
  if (config.linux.seccomp && !config.linux.seccomp->listener_path.empty())
    return fail(ErrorKind::kUnsupported, "linux.seccomp.listenerPath: CRIU cannot restore a filter that asks a listener");
  if (!config.linux.net_devices.empty() || config.linux.intel_rdt)
    return fail(ErrorKind::kUnsupported, "linux.netDevices and linux.intelRdt cannot be restored");
  for (const oci::Namespace& one : config.linux.namespaces)
    if (!one.path.empty() &&
        std::ranges::find(kExternalNamespaces, one.flag, &ExternalNamespace::flag) == std::end(kExternalNamespaces))
      return fail(ErrorKind::kUnsupported, "linux.namespaces: " + shown(one.path) +
                                               " is joined, and of those CRIU restores network and pid namespaces only");
  return {};
}

Result<> checkpoint(const Runtime& runtime, const std::string& id, const CheckpointOptions& options) {
  if (::geteuid() != 0) return fail(ErrorKind::kDenied, "checkpoint: CRIU needs root");
  Container container = TRY(Container::open(container_root(runtime), id, Container::Lock::kExclusive));
  const state::ContainerState state = TRY(container.state());
  if (state.status != ContainerStatus::kRunning && state.status != ContainerStatus::kPaused)
    return fail(ErrorKind::kInvalid,
                "container cannot be checkpointed in " + std::string(state::status_name(state.status)) + " state");
  const std::string text = TRY(container.read_config());
  const oci::Config config = TRY(oci::parse_config(text));
  TRY(check_can_be_restored(config));
  auto dumped = Dump(options, state.record, config).run();
  if (!dumped) {
    // A CRIU that was killed has left it frozen.
    if (state.status == ContainerStatus::kRunning && !state.record.location.empty()) (void)cgroup::thaw(state.record.location);
    return while_doing("checkpoint of " + id, dumped.error());
  }
  if (options.leave_running || options.pre_dump) return {};
  if (!state::wait_for_end(state.record.init, kDyingTime)) return fail(ErrorKind::kSystem, "container init still running");
  return {};
}

}  // namespace clawrun::engine
