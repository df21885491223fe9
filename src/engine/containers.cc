#include "engine/containers.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <optional>
#include <utility>

#include "base/text.h"
#include "cgroup/container_place.h"
#include "cgroup/group.h"
#include "cgroup/join.h"
#include "container/landlock.h"
#include "container/launch.h"
#include "engine/container_bundle.h"
#include "engine/containers_manage.h"
#include "engine/foreground.h"
#include "engine/intel_rdt.h"
#include "engine/notify.h"
#include "launch/hook_output.h"
#include "launch/hooks.h"
#include "oci/annotations.h"
#include "oci/resources.h"
#include "oci/seccomp.h"
#include "state/container_process.h"
#include "supervise/supervise.h"
#include "sys/sys.h"
#include "tables/capabilities.h"

namespace clawrun::engine {

namespace {

using state::Container;
using state::ContainerRecord;
using state::ContainerStatus;

// What this version cannot give is said, never passed over.
Result<> check_supported(const oci::Config& config) {
  if (!config.process) return fail(ErrorKind::kInvalid, "process: a container cannot be made without one");
  TRY(container::landlock_of(config));
  return {};
}

void warn_of_capabilities(const Runtime& runtime, const oci::Process& process) {
  const std::string ignored = oci::ignored_capabilities(process);
  if (!ignored.empty() && runtime.warn) runtime.warn(ignored);
}

Result<container::Filters> filters_of(const oci::Config& config) {
  container::Filters filters;
  oci::Annotated annotated = TRY(oci::annotations_of(config));
  if (annotated.seccomp_program) {
    filters.programs.push_back(std::move(*annotated.seccomp_program));
    return filters;
  }
  if (!config.linux.seccomp) return filters;
  oci::SeccompOptions options;
  options.fail_unknown_syscall = annotated.fails_unknown_syscall;
  oci::SeccompPrograms compiled = TRY(oci::compile_seccomp(*config.linux.seccomp, options));
  filters.programs = std::move(compiled.programs);
  filters.flags = compiled.flags;
  filters.notify = compiled.notify;
  filters.listener_flags = compiled.listener_flags;
  return filters;
}

// 3 .. 3+n-1 must be there: what is opened later would take the place of a missing one.
Result<> check_preserved(unsigned count) {
  for (unsigned i = 0; i < count; ++i)
    if (::fcntl(static_cast<int>(3 + i), F_GETFD) < 0)
      return fail(ErrorKind::kInvalid,
                  "please check that preserved-fd " + std::to_string(i) + " (of " + std::to_string(count) + ") is present");
  return {};
}

// sd_listen_fds(3): meant for the container where the runtime was started with them.
unsigned listen_fds() {
  const char* count = ::getenv("LISTEN_FDS");
  const char* pid = ::getenv("LISTEN_PID");
  if (count == nullptr) return 0;
  if (pid != nullptr && std::string_view(pid) != "1" && std::string_view(pid) != std::to_string(::getpid())) return 0;
  return static_cast<unsigned>(parse_unsigned(count, 4096).value_or(0));
}

// One `create`: what it has made is gone again unless keep() was called.
class Creation {
 public:
  Creation(const Runtime& runtime, std::string id, const CreateOptions& options, Bundle bundle)
      : runtime_(runtime), id_(std::move(id)), options_(options), bundle_(std::move(bundle)) {}
  Creation(const Creation&) = delete;
  Creation& operator=(const Creation&) = delete;
  ~Creation() {
    if (!container_ || kept_) return;
    (void)group_.end();
    (void)destroy(*container_, {}, &bundle_.config);
    if (rdt_) rdt_->take_back();
  }

  // `console`: a connected socket for the terminal, or -1.
  Result<> make(int console) {
    TRY(check_supported(bundle_.config));
    annotated_ = TRY(oci::annotations_of(bundle_.config));
    warn_of_capabilities(runtime_, *bundle_.config.process);
    const container::Filters filters = TRY(filters_of(bundle_.config));
    const unsigned listening = listen_fds();
    const unsigned preserved = std::max(options_.preserve_fds, listening);
    TRY(check_preserved(preserved));
    std::optional<cgroup::Limits> limits;
    std::optional<cgroup::Place> place;
    if (runtime_.cgroup_manager != CgroupManager::kDisabled) {
      limits = TRY(oci::limits_of(bundle_.config.linux.resources.value_or(oci::Resources{}), oci::LimitsFor::kCreate));
      place = TRY(find_place(runtime_, id_, bundle_.config, *limits));
      if (!place->usable()) place.reset();
    }
    rdt_ = TRY(find_rdt_group(bundle_.config, id_));
    container_ = TRY(Container::create(container_root(runtime_), id_));
    TRY(write_record(place));
    if (rdt_) TRY(make_rdt_group());
    TRY(container_->write_config(bundle_.text));
    TRY(offer_notify_socket(container_->path(), bundle_.config));
    TRY(container_->make_gate());
    if (place) group_ = TRY(cgroup::Group::begin(*place, id_, std::move(*limits)));
    return start(filters, console, preserved, listening);
  }

  [[nodiscard]] container::Started take_started() { return std::move(started_); }
  [[nodiscard]] const oci::Config& config() const { return bundle_.config; }
  [[nodiscard]] Container& container() { return *container_; }
  [[nodiscard]] const ContainerRecord& record() const { return record_; }

  // From here on the container lives without this process.
  void keep() {
    kept_ = true;
    (void)group_.release();
  }

 private:
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
    if (rdt_) record_.intel_rdt_path = rdt_->own();
    record_.systemd_cgroup = runtime_.cgroup_manager == CgroupManager::kSystemd;
    record_.rootless = runtime_.rootless.value_or(::geteuid() != 0);
    return container_->write(record_);
  }

  Result<> make_rdt_group() {
    if (auto made = rdt_->make(); !made) {
      // Somebody else's, made since it was looked for.
      record_.intel_rdt_path.clear();
      TRY(container_->write(record_));
      return while_doing("linux.intelRdt", made.error());
    }
    if (auto configured = rdt_->configure(); !configured) return while_doing("linux.intelRdt", configured.error());
    return {};
  }

  Result<std::vector<UniqueFd>> complete_groups() {
    TRY(group_.complete());
    return group_.open_for_joining({.cloned_into = group_.clone_fd() >= 0});
  }

  Result<> start(const container::Filters& filters, int console, unsigned preserved, unsigned listening) {
    const UniqueFd gate = TRY(sys::open(container_->path() + "/gate", O_RDWR | O_NOFOLLOW));
    const UniqueFd report = TRY(sys::open(container_->path() + "/report", O_RDWR | O_NOFOLLOW));
    container::Launch launch;
    launch.id = id_;
    launch.bundle = bundle_.path;
    launch.rootfs = bundle_.rootfs;
    launch.filters = filters;
    launch.clone_into_cgroup = group_.clone_fd();
    if (!group_.is_complete()) launch.join_groups = [this] { return complete_groups(); };
    launch.console_socket = console;
    launch.gate = gate.get();
    launch.report = report.get();
    const launch::HookOutput output = TRY(launch::HookOutput::open(bundle_.config));
    launch.hooks_stdout = output.out.get();
    launch.hooks_stderr = output.err.get();
    launch.preserve_fds = preserved;
    launch.listen_fds = listening;
    if (const char* names = ::getenv("LISTEN_FDNAMES"); names != nullptr && listening > 0) launch.listen_names = names;
    launch.no_pivot = options_.no_pivot;
    launch.no_new_keyring = options_.no_new_keyring;
    launch.hook_state = [this](pid_t pid, std::string_view status) {
      ContainerRecord record = record_;
      record.init.pid = pid;
      return state::hook_state_json(record, status);
    };
    launch.on_process = [this](pid_t pid) -> Result<> {
      record_.init = TRY(state::identify(pid));
      if (group_.needs_attach()) TRY(group_.attach(pid));
      if (!group_.empty()) record_.location = group_.location();
      if (rdt_) TRY(rdt_->add(pid));
      return container_->write(record_);
    };
    launch.on_ready = [this](pid_t pid, int pidfd) -> Result<> {
      TRY(send_pidfd(options_.pidfd_socket, "--pidfd-socket", pidfd));
      TRY(send_pidfd(annotated_.pidfd_receiver, kPidfdReceiver, pidfd));
      if (!options_.pid_file.empty()) TRY(write_pid_file(options_.pid_file, pid));
      record_.maker = {};
      return container_->write(record_);
    };
    started_ = TRY(container::start_process(bundle_.config, launch));
    return {};
  }

  const Runtime& runtime_;
  std::string id_;
  const CreateOptions& options_;
  Bundle bundle_;
  oci::Annotated annotated_;
  ContainerRecord record_;
  std::optional<Container> container_;
  cgroup::Group group_;
  std::optional<resctrl::Group> rdt_;
  container::Started started_;
  bool kept_ = false;
};

Result<UniqueFd> console_of(const CreateOptions& options) {
  if (options.console_socket.empty()) return UniqueFd();
  return connect_socket(options.console_socket, "--console-socket");
}

Result<> run_poststart(const ContainerRecord& record, const oci::Config& config) {
  const launch::HookOutput output = TRY(launch::HookOutput::open(config));
  launch::HookOptions options{.directory = record.bundle};
  output.direct(options);
  return launch::run_hooks(config.hooks.poststart, "poststart", state::hook_state_json(record, "running"), options);
}

// With the container locked.
Result<> start_locked(Container& container, const ContainerRecord& record, const oci::Config& config) {
  const UniqueFd notify = TRY(bind_notify_socket(container.path()));
  const auto opened = container::open_gate(container.path() + "/gate", container.path() + "/report");
  container.remove_gate();
  if (!opened) return opened;
  if (config.hooks.poststart.empty()) return pass_readiness_on(notify, record.init.pid);
  auto done = run_poststart(record, config);
  if (!done) {
    // runtime-spec 1.3, "Lifecycle": the container is stopped.
    (void)state::signal_process(record.init, SIGKILL);
    (void)state::wait_for_end(record.init, std::chrono::seconds(10));
    return done;
  }
  return pass_readiness_on(notify, record.init.pid);
}

Failure cannot_start(ContainerStatus status) {
  if (status == ContainerStatus::kStopped) return fail(ErrorKind::kInvalid, "cannot start a container that has stopped");
  if (status == ContainerStatus::kRunning) return fail(ErrorKind::kInvalid, "cannot start an already running container");
  return fail(ErrorKind::kInvalid, "cannot start a container in the " + std::string(state::status_name(status)) + " state");
}

// "UID[:GID]": whole decimal numbers and nothing else (CVE-2016-3697, CVE-2026-30892).
Result<> set_user(const std::string& text, oci::User& user) {
  const std::size_t colon = text.find(':');
  const auto uid = parse_unsigned(std::string_view(text).substr(0, colon), UINT32_MAX - 1);
  if (!uid) return fail(ErrorKind::kUsage, "--user " + quoted(text) + ": must be UID[:GID], in digits");
  user.uid = static_cast<std::uint32_t>(*uid);
  if (colon == std::string::npos) return {};
  const auto gid = parse_unsigned(std::string_view(text).substr(colon + 1), UINT32_MAX - 1);
  if (!gid) return fail(ErrorKind::kUsage, "--user " + quoted(text) + ": must be UID[:GID], in digits");
  user.gid = static_cast<std::uint32_t>(*gid);
  return {};
}

Result<oci::Process> process_of(const oci::Config& config, const ExecInOptions& options) {
  if (!options.process_file.empty()) {
    const std::string text = TRY(sys::read_file(options.process_file, oci::kMaxConfigBytes));
    return oci::parse_process(text);
  }
  oci::Process process = config.process.value_or(oci::Process{});
  if (options.args.empty()) return fail(ErrorKind::kUsage, "process args cannot be empty");
  process.args = options.args;
  process.terminal = options.tty.value_or(false);
  process.console_size.reset();
  if (!options.cwd.empty()) process.cwd = options.cwd;
  for (const std::string& variable : options.env) {
    // The later one counts, as it does for whoever reads the environment.
    const std::string key = variable.substr(0, variable.find('=') + 1);
    std::erase_if(process.env, [&](const std::string& old) { return key.size() > 1 && old.starts_with(key); });
    process.env.push_back(variable);
  }
  if (!options.user.empty()) TRY(set_user(options.user, process.user));
  for (const std::uint32_t gid : options.additional_gids) process.user.additional_gids.push_back(gid);
  for (const std::string& name : options.capabilities) {
    const auto number = tables::capability_number(name);
    if (!number) return fail(ErrorKind::kUsage, "--cap " + quoted(name) + ": no capability of that name");
    if (!process.capabilities) process.capabilities.emplace();
    // Never the inheritable set: CVE-2022-29162
    process.capabilities->bounding |= 1ULL << *number;
    process.capabilities->permitted |= 1ULL << *number;
    process.capabilities->effective |= 1ULL << *number;
  }
  if (options.no_new_privileges) process.no_new_privileges = *options.no_new_privileges;
  if (!options.apparmor_profile.empty()) process.apparmor_profile = options.apparmor_profile;
  if (!options.selinux_label.empty()) process.selinux_label = options.selinux_label;
  return process;
}

}  // namespace

Result<> create(const Runtime& runtime, const std::string& id, const CreateOptions& options) {
  TRY(state::check_container_id(id));
  const UniqueFd console = TRY(console_of(options));
  Bundle bundle = TRY(read_bundle(options.bundle, options.config));
  Creation creation(runtime, id, options, std::move(bundle));
  TRY(creation.make(console.get()));
  creation.keep();
  return {};
}

Result<> start(const Runtime& runtime, const std::string& id) {
  Container container = TRY(Container::open(container_root(runtime), id, Container::Lock::kExclusive));
  const state::ContainerState state = TRY(container.state());
  if (state.status != ContainerStatus::kCreated) return cannot_start(state.status);
  const std::string text = TRY(container.read_config());
  const oci::Config config = TRY(oci::parse_config(text));
  return start_locked(container, state.record, config);
}

Result<int> run(const Runtime& runtime, const std::string& id, const RunOptions& options) {
  TRY(state::check_container_id(id));
  if (!options.detach && !options.create.console_socket.empty())
    return fail(ErrorKind::kUsage, "cannot use console socket if runc will not detach or allocate tty");
  UniqueFd console = TRY(console_of(options.create));
  Bundle bundle = TRY(read_bundle(options.create.bundle, options.create.config));
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
  {
    Creation creation(runtime, id, options.create, bundle);
    TRY(creation.make(own ? own->theirs.get() : console.get()));
    TRY(start_locked(creation.container(), creation.record(), creation.config()));
    creation.keep();
    started = creation.take_started();
    record = creation.record();
  }
  // The container is locked no more: others may pause, change and remove it while it runs.
  if (options.detach) return 0;
  if (own) own->theirs.reset();
  const UniqueFd none;
  const auto status = wait_in_foreground(started, own ? own->ours : none, *signals);
  if (options.keep) return status;
  const auto removed = remove_own(runtime, record, bundle.config, options.warn);
  if (status && !removed) return std::unexpected(removed.error());
  return status;
}

Result<int> exec_in(const Runtime& runtime, const std::string& id, const ExecInOptions& options) {
  const FoundContainer found = TRY(find_container(runtime, id));
  const ContainerStatus status = found.state.status;
  if (status == ContainerStatus::kStopped || status == ContainerStatus::kCreating)
    return fail(ErrorKind::kInvalid, "cannot exec in a stopped container");
  if (status == ContainerStatus::kPaused && !options.ignore_paused)
    return fail(ErrorKind::kInvalid, "cannot exec in a paused container (use --ignore-paused to override)");
  const std::string text = TRY(found.container.read_config());
  const oci::Config config = TRY(oci::parse_config(text));
  const oci::Process process = TRY(process_of(config, options));
  warn_of_capabilities(runtime, process);
  if (options.detach && process.terminal && options.console_socket.empty())
    return fail(ErrorKind::kUsage, "cannot allocate tty if runc will detach without setting console socket");
  TRY(check_preserved(options.preserve_fds));
  const ContainerRecord& record = found.state.record;
  container::Join join;
  join.init = record.init.pid;
  join.is_alive = [&record] { return state::is_alive(record.init); };
  join.filters = TRY(filters_of(config));
  const auto rdt = TRY(rdt_group_of(config, id));
  if (rdt) join.on_process = [&rdt](pid_t pid) { return rdt->add(pid); };
  const cgroup::Joining groups =
      TRY(cgroup::open_for_joining(record.location, {.subgroup = options.cgroup, .init = record.init.pid}));
  join.clone_into_cgroup = groups.v2.get();
  for (const UniqueFd& file : groups.v1) join.join_files.push_back(file.get());
  join.preserve_fds = options.preserve_fds;
  UniqueFd console;
  std::optional<OwnConsole> own;
  if (!options.console_socket.empty()) {
    console = TRY(connect_socket(options.console_socket, "--console-socket"));
  } else if (process.terminal) {
    own = TRY(own_console());
  }
  join.console_socket = own ? own->theirs.get() : console.get();
  std::optional<supervise::ForwardedSignals> signals;
  if (!options.detach) {
    auto opened = supervise::ForwardedSignals::open();
    if (!opened) return std::unexpected(std::move(opened).error());
    signals.emplace(std::move(*opened));
  }
  const container::Started started = TRY(container::join_process(config, process, join));
  if (own) own->theirs.reset();
  TRY(send_pidfd(options.pidfd_socket, "--pidfd-socket", started.pidfd.get()));
  if (!options.pid_file.empty()) TRY(write_pid_file(options.pid_file, started.pid));
  if (options.detach) return 0;
  const UniqueFd none;
  return wait_in_foreground(started, own ? own->ours : none, *signals);
}

}  // namespace clawrun::engine
