#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "base/text.h"
#include "cgroup/group.h"
#include "engine/checkpoint.h"
#include "engine/container_bundle.h"
#include "engine/containers_manage.h"
#include "engine/foreground.h"
#include "launch/hook_output.h"
#include "launch/hooks.h"
#include "oci/annotations.h"
#include "oci/descriptors.h"
#include "oci/resources.h"
#include "supervise/supervise.h"
#include "sys/sys.h"

namespace clawrun::engine {

namespace {

using state::Container;
using state::ContainerRecord;

constexpr const char* kRootName = "/criu-root";
constexpr std::size_t kMaxCgroupFile = 65'536;

// One `restore`: what it has made is gone again unless keep() was called.
class Restoration {
 public:
  Restoration(const Runtime& runtime, std::string id, const RestoreOptions& options, Bundle bundle)
      : runtime_(runtime), id_(std::move(id)), options_(options), bundle_(std::move(bundle)) {}
  Restoration(const Restoration&) = delete;
  Restoration& operator=(const Restoration&) = delete;
  ~Restoration() {
    if (!container_ || kept_) return;
    // The group has CRIU in it as well, and what it has restored so far.
    (void)group_.end();
    session_.reset();
    (void)destroy(*container_, {}, &bundle_.config);
  }

  // `console`: a connected socket for the terminal, or -1.
  Result<> make(int console) {
    console_ = console;
    TRY(check_can_be_restored(bundle_.config));
    annotated_ = TRY(oci::annotations_of(bundle_.config));
    hook_output_ = TRY(launch::HookOutput::open(bundle_.config));
    directories_ = TRY(open_image_directories(options_.criu, ImagesAre::kThere));
    TRY(make_places());
    TRY(start_session());
    TRY(fill_request());
    const auto notified = [this](Notification notification) { return hear(std::move(notification)); };
    const pid_t pid = TRY(session_->run(request_, directories_.work_path + "/restore.log", notified));
    TRY(take(pid));
    session_.reset();
    (void)::rmdir(root_.c_str());
    TRY(send_pidfd(annotated_.pidfd_receiver, kPidfdReceiver, started_.pidfd.get()));
    if (!options_.pid_file.empty()) TRY(write_pid_file(options_.pid_file, pid));
    record_.maker = {};
    return container_->write(record_);
  }

  // From here on the container lives without this process.
  void keep() {
    kept_ = true;
    (void)group_.release();
  }

  [[nodiscard]] container::Started take_started() { return std::move(started_); }
  [[nodiscard]] const ContainerRecord& record() const { return record_; }
  [[nodiscard]] const oci::Config& config() const { return bundle_.config; }

 private:
  Result<> make_places() {
    std::optional<cgroup::Limits> limits;
    std::optional<cgroup::Place> place;
    if (runtime_.cgroup_manager != CgroupManager::kDisabled) {
      limits = TRY(oci::limits_of(bundle_.config.linux.resources.value_or(oci::Resources{}), oci::LimitsFor::kCreate));
      place = TRY(find_place(runtime_, id_, bundle_.config, *limits));
      if (!place->usable()) place.reset();
    }
    container_ = TRY(Container::create(container_root(runtime_), id_));
    TRY(write_record(place));
    TRY(container_->write_config(bundle_.text));
    root_ = container_->path() + kRootName;
    if (::mkdir(root_.c_str(), 0700) != 0) return fail_errno("making " + shown(root_));
    if (place) group_ = TRY(cgroup::Group::create(*place, id_, std::move(*limits)));
    return {};
  }

  Result<> write_record(const std::optional<cgroup::Place>& place) {
    record_.id = id_;
    record_.oci_version = bundle_.config.oci_version;
    record_.bundle = bundle_.path;
    record_.rootfs = bundle_.rootfs;
    record_.maker = TRY(state::identify(::getpid()));
    record_.owner = ::geteuid();
    record_.created = now();
    record_.annotations = bundle_.config.annotations;
    if (place) record_.location = cgroup::Group::locate(*place, id_);
    record_.systemd_cgroup = runtime_.cgroup_manager == CgroupManager::kSystemd;
    record_.rootless = runtime_.rootless.value_or(::geteuid() != 0);
    return container_->write(record_);
  }

  // In the container's cgroup, and in the record: whoever finds that this process has died ends all that is in there.
  Result<> start_session() {
    CriuPlace place;
    std::vector<UniqueFd> joins;
    if (!group_.empty()) {
      place.clone_into_cgroup = group_.clone_fd();
      joins = TRY(group_.open_for_joining({.cloned_into = place.clone_into_cgroup >= 0}));
      for (const UniqueFd& file : joins) place.join_files.push_back(file.get());
    }
    CriuSession session = TRY(CriuSession::start(place));
    session_.emplace(std::move(session));
    record_.init = TRY(state::identify(session_->pid()));
    if (group_.needs_attach()) TRY(group_.attach(session_->pid()));
    if (!group_.empty()) record_.location = group_.location();
    return container_->write(record_);
  }

  Result<> fill_request() {
    TRY(begin_request(request_, options_.criu, directories_, bundle_.config));
    request_.option("log_file", "restore.log");
    request_.option("root", root_);
    request_.option("bind_root", bundle_.rootfs);
    request_.switch_on("rst_sibling", true);
    request_.switch_on("evasive_devices", true);
    if (!options_.lsm_profile.empty()) request_.option("lsm_profile", options_.lsm_profile);
    if (!options_.lsm_mount_context.empty()) request_.option("lsm_mount_context", options_.lsm_mount_context);
    for (const ExternalMount& mount : external_mounts(bundle_.config, bundle_.path))
      request_.option("external", std::string_view("mnt[" + mount.place + "]:" + mount.source));
    TRY(give_cgroups());
    TRY(give_namespaces());
    return give_streams();
  }

  // The images name the groups of the container that was: those that CRIU is in by now take their place.
  Result<> give_cgroups() {
    if (group_.empty()) return {};
    const std::string file = "/proc/" + std::to_string(session_->pid()) + "/cgroup";
    const std::string text = TRY(sys::read_file(file, kMaxCgroupFile));
    for (const std::string_view line : split(text, '\n')) {
      const std::size_t first = line.find(':');
      const std::size_t second = line.find(':', first + 1);
      if (first == std::string_view::npos || second == std::string_view::npos) continue;
      request_.cgroup_root(line.substr(first + 1, second - first - 1), line.substr(second + 1));
    }
    return {};
  }

  Result<> give_namespaces() {
    for (const oci::Namespace& one : bundle_.config.linux.namespaces) {
      const auto* row = std::ranges::find(kExternalNamespaces, one.flag, &ExternalNamespace::flag);
      if (one.path.empty() || row == std::end(kExternalNamespaces)) continue;
      UniqueFd fd = TRY(sys::open(one.path, O_RDONLY));
      request_.inherit(row->name, fd.get());
      kept_open_.push_back(std::move(fd));
    }
    return {};
  }

  // Pipes alone: a file it had open is in the container, and is opened again.
  Result<> give_streams() {
    const UniqueFd file(
        ::openat(directories_.images.get(), oci::kDescriptorsFile, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
    if (!file.valid()) return fail_errno("opening " + shown(directories_.images_path + "/" + oci::kDescriptorsFile));
    const std::string text = TRY(sys::read_file("/proc/self/fd/" + std::to_string(file.get()), oci::kMaxDescriptorsBytes));
    const oci::StandardStreams streams = TRY(oci::parse_descriptors(text));
    for (std::size_t i = 0; i < streams.size(); ++i)
      if (streams[i].starts_with("pipe:")) request_.inherit(streams[i], static_cast<int>(i));
    return {};
  }

  Result<> hear(Notification notification) {
    if (notification.script == "orphan-pts-master") return send_terminal(notification.descriptor);
    if (notification.script == "setup-namespaces") {
      record_.init = TRY(state::identify(notification.pid));
      TRY(container_->write(record_));
      return run_hooks();
    }
    return {};
  }

  Result<> send_terminal(const UniqueFd& master) const {
    if (console_ < 0) return fail(ErrorKind::kInvalid, "the processes have a terminal: --detach needs --console-socket");
    int number = 0;
    if (::ioctl(master.get(), TIOCGPTN, &number) != 0) return fail_errno("asking for the terminal's number");
    return sys::send_descriptor(console_, master.get(), "/dev/pts/" + std::to_string(number));
  }

  // Those that set up what is outside of the container, a network above all.
  Result<> run_hooks() {
    const std::string state = state::hook_state_json(record_, "creating");
    launch::HookOptions options{.directory = bundle_.path};
    hook_output_.direct(options);
    TRY(launch::run_hooks(bundle_.config.hooks.prestart, "prestart", state, options));
    return launch::run_hooks(bundle_.config.hooks.create_runtime, "createRuntime", state, options);
  }

  Result<> take(pid_t pid) {
    if (pid <= 0) return fail(ErrorKind::kInternal, "CRIU restored no process");
    started_.pid = pid;
    started_.pidfd = TRY(sys::pidfd_open(pid));
    record_.init = TRY(state::identify(pid));
    return {};
  }

  const Runtime& runtime_;
  std::string id_;
  const RestoreOptions& options_;
  Bundle bundle_;
  oci::Annotated annotated_;
  launch::HookOutput hook_output_;
  int console_ = -1;
  std::string root_;  // where CRIU is to find the root filesystem, in a mount namespace of its own
  CriuRequest request_{"restore"};
  ImageDirectories directories_;
  std::vector<UniqueFd> kept_open_;
  ContainerRecord record_;
  std::optional<Container> container_;
  cgroup::Group group_;
  std::optional<CriuSession> session_;
  container::Started started_;
  bool kept_ = false;
};

}  // namespace

Result<int> restore(const Runtime& runtime, const std::string& id, const RestoreOptions& options) {
  TRY(state::check_container_id(id));
  if (::geteuid() != 0) return fail(ErrorKind::kDenied, "restore: CRIU needs root");
  if (!options.detach && !options.console_socket.empty())
    return fail(ErrorKind::kUsage, "cannot use console socket if runc will not detach or allocate tty");
  UniqueFd console;
  if (!options.console_socket.empty()) console = TRY(connect_socket(options.console_socket, "--console-socket"));
  Bundle bundle = TRY(read_bundle(options.bundle, ""));
  std::optional<OwnConsole> own;
  std::optional<supervise::ForwardedSignals> signals;
  if (!options.detach) {
    if (!options.no_subreaper) ::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    auto opened = supervise::ForwardedSignals::open();
    if (!opened) return std::unexpected(std::move(opened).error());
    signals.emplace(std::move(*opened));
    if (bundle.config.process && bundle.config.process->terminal) own = TRY(own_console());
  }
  container::Started started;
  ContainerRecord record;
  const oci::Config config = bundle.config;
  {
    Restoration restoration(runtime, id, options, std::move(bundle));
    if (auto made = restoration.make(own ? own->theirs.get() : console.get()); !made)
      return while_doing("restore of " + id, made.error());
    restoration.keep();
    started = restoration.take_started();
    record = restoration.record();
  }
  if (options.detach) return 0;
  if (own) own->theirs.reset();
  const UniqueFd none;
  const auto status = wait_in_foreground(started, own ? own->ours : none, *signals);
  const auto removed = remove_own(runtime, record, config, options.warn);
  if (status && !removed) return std::unexpected(removed.error());
  return status;
}

}  // namespace clawrun::engine
