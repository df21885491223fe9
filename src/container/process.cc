#include "container/process.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <optional>

#include "base/text.h"
#include "container/confinement.h"
#include "container/root.h"
#include "container/sync.h"
#include "container/terminal.h"
#include "launch/hooks.h"
#include "sys/sys.h"

namespace clawrun::container {

namespace {

// How much of an error fits into one write to a FIFO that is atomic: pipe(7) PIPE_BUF.
constexpr std::size_t kLongestReport = 3000;

Result<> become_root_of_namespace() {
  if (::setresgid(0, 0, 0) != 0 || ::setresuid(0, 0, 0) != 0)
    return fail_errno("becoming root of the user namespace (linux.uidMappings and gidMappings must map id 0)");
  return {};
}

class First {
 public:
  explicit First(const FirstProcess& first) : first_(first), config_(first.config), launch_(first.launch) {}

  [[noreturn]] void run() {
    const auto done = steps();
    const Error error = done ? Error{ErrorKind::kInternal, 0, "the process went on where it should have ended"} : done.error();
    // Before the gate the runtime listens, after it whoever has opened it.
    if (waited_at_gate_) {
      (void)say(launch_.report, {Word::kError, error.kind, error.errno_value, error.message.substr(0, kLongestReport)});
    } else {
      (void)say(first_.sync, {Word::kError, error.kind, error.errno_value, error.message});
    }
    ::_exit(waited_at_gate_ ? 255 : 1);
  }

 private:
  Result<> steps() {
    reset_signals();
    TRY(die_with_runtime(SIGKILL));
    TRY(close_all_but(kept(), launch_.preserve_fds));
    const bool own_network = first_.namespaces.creates(CLONE_NEWNET);
    // As long as all the rest, and meanwhile the runtime makes cgroups and writes down what it has started.
    if (own_network && !first_.staged) TRY(make_network());
    if (launch_.join_groups) TRY(join_groups());
    if (first_.staged) TRY(stage());
    if (own_network && first_.staged) TRY(make_network());
    TRY(await_go(first_.sync));
    if (!config_.linux.net_devices.empty()) {
      TRY(say(first_.sync, {.word = Word::kNetwork, .text = {}}));
      TRY(await_go(first_.sync));
    }
    TRY(take_place());
    if (config_.process) {
      proc_ = TRY(Proc::open());
      if (!launch_.no_new_keyring) TRY(new_keyring(*config_.process, *proc_));
    }
    TRY(build());
    return become_process();
  }

  std::vector<int> kept() const {
    std::vector<int> keep = {first_.sync,    launch_.console_socket, launch_.gate,
                             launch_.report, launch_.hooks_stdout,   launch_.hooks_stderr};
    for (const JoinedNamespace& one : first_.namespaces.joined) keep.push_back(one.fd.get());
    for (const auto& [index, fd] : first_.site.opened) keep.push_back(fd.get());
    return keep;
  }

  Result<> join_groups() const {
    const std::vector<UniqueFd> files = TRY(take(first_.sync));
    std::vector<int> numbers;
    for (const UniqueFd& file : files) numbers.push_back(file.get());
    return join_cgroups(numbers);
  }

  // Joins, and clones the process that goes on, in new namespaces that belong to the user namespace which it is in by now.
  // It is the runtime's child, like this one: clone(2) CLONE_PARENT.
  Result<> stage() {
    const Namespaces& namespaces = first_.namespaces;
    TRY(join_namespaces(namespaces));
    std::uint64_t flags = namespaces.created & ~kMadeInside;
    if (namespaces.creates(CLONE_NEWUSER)) {
      if (::unshare(CLONE_NEWUSER) != 0) return fail_errno("making the user namespace");
      TRY(say(first_.sync, {.word = Word::kMapMe, .text = {}}));
      TRY(await_go(first_.sync));
      TRY(become_root_of_namespace());
      flags &= ~static_cast<std::uint64_t>(CLONE_NEWUSER);
    }
    // Those who are in the pid namespace already see the process from its first moment: CVE-2016-9962
    if (namespaces.joins(CLONE_NEWPID)) ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    const pid_t pid = TRY(clone_process({.flags = flags | CLONE_PARENT}));
    if (pid == 0) return die_with_runtime(SIGKILL);
    (void)say(first_.sync, {.word = Word::kStarted, .number = pid, .text = {}});
    ::_exit(0);
  }

  // The namespaces that are made from inside.
  Result<> take_place() {
    const Namespaces& namespaces = first_.namespaces;
    if (::setsid() < 0) return fail_errno("starting a session");
    if (namespaces.creates(CLONE_NEWCGROUP) && ::unshare(CLONE_NEWCGROUP) != 0) return fail_errno("making the cgroup namespace");
    if (namespaces.creates(CLONE_NEWTIME)) {
      // A change of ids has made the files of /proc/self the host root's. Where the pid namespace is new nobody else is in it.
      if (namespaces.creates(CLONE_NEWPID)) ::prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
      const Proc proc = TRY(Proc::open());
      TRY(make_time_namespace(config_, proc));
    }
    if (!namespaces.creates(CLONE_NEWPID)) ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    return name_host();
  }

  static Result<> make_network() {
    if (::unshare(CLONE_NEWNET) != 0) return fail_errno("making the network namespace");
    return bring_up_loopback();
  }

  Result<> name_host() const {
    if (!config_.hostname.empty() && ::sethostname(config_.hostname.data(), config_.hostname.size()) != 0)
      return fail_errno("setting the hostname");
    if (!config_.domainname.empty() && ::setdomainname(config_.domainname.data(), config_.domainname.size()) != 0)
      return fail_errno("setting the domainname");
    return {};
  }

  Result<> build() {
    const bool own_mounts = first_.namespaces.creates(CLONE_NEWNS);
    const bool terminal = config_.process && config_.process->terminal;
    if (own_mounts) {
      // Modes are meant as they are written.
      const mode_t mask = ::umask(0);
      TRY(prepare_root(first_.site, config_, launch_.rootfs));
      TRY(fill_root(first_.site, config_));
      // What a hook makes is not for everybody to write.
      ::umask(mask);
    } else {
      first_.site.root = ::open(launch_.rootfs.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
      if (first_.site.root < 0) return fail_errno("opening the root " + quoted(launch_.rootfs));
    }
    if (has_runtime_hooks(config_)) {
      TRY(say(first_.sync, {.word = Word::kMounted, .text = {}}));
      TRY(await_go(first_.sync));
    }
    if (!config_.hooks.create_container.empty())
      TRY(launch::run_hooks(config_.hooks.create_container, "createContainer", launch_.hook_state(::getpid(), "creating"),
                            {.directory = launch_.bundle, .stdout_fd = launch_.hooks_stdout, .stderr_fd = launch_.hooks_stderr}));
    if (own_mounts) TRY(take_null_device(first_.site.root));
    if (own_mounts) TRY(cover_paths(first_.site, config_));
    if (proc_) {
      TRY(write_sysctls(*proc_, config_));
      TRY(label_next_exec(*proc_, *config_.process));
      groups_ = TRY(groups_of(config_, *proc_));
      proc_.reset();
    }
    const RootSwitch how = !own_mounts ? RootSwitch::kChroot : launch_.no_pivot ? RootSwitch::kMove : RootSwitch::kPivot;
    TRY(switch_root(first_.site, how));
    if (terminal) TRY(make_terminal());
    if (!terminal && config_.process) give_pipes(config_.process->user.uid);
    ::close(first_.site.root);
    if (own_mounts) TRY(close_root(config_));
    return {};
  }

  Result<> make_terminal() {
    const UniqueFd root = TRY(sys::open("/", O_PATH | O_DIRECTORY));
    const Terminal made = TRY(open_terminal(root.get()));
    if (config_.process->console_size) TRY(set_size(made.master.get(), *config_.process->console_size));
    if (first_.namespaces.creates(CLONE_NEWNS)) TRY(bind_console(root.get(), made));
    if (launch_.console_socket >= 0) TRY(send_master(launch_.console_socket, made));
    TRY(place_terminal(made, config_.process->user.uid));
    return control_terminal();
  }

  Result<> become_process() {
    const oci::Process& process = *config_.process;
    ::umask(process.user.umask.value_or(0022));
    TRY(set_io_priority(process));
    TRY(set_scheduler(0, process));
    TRY(set_personality(config_));
    if (config_.linux.memory_policy) TRY(set_memory_policy(*config_.linux.memory_policy));
    Confinement confinement({.config = config_,
                             .process = process,
                             .namespaces = first_.namespaces,
                             .filters = launch_.filters,
                             .groups = groups_,
                             .sync = first_.sync});
    TRY(confinement.run());
    TRY(confinement.settle());
    if (launch_.listen_fds > 0) {
      confinement.add_environment("LISTEN_FDS=" + std::to_string(launch_.listen_fds));
      confinement.add_environment("LISTEN_PID=1");
      if (!launch_.listen_names.empty()) confinement.add_environment("LISTEN_FDNAMES=" + launch_.listen_names);
    }
    // The second time, before the contained side runs: what setting up has opened since.
    std::vector<int> keep = {first_.sync, launch_.gate, launch_.report};
    if (!config_.hooks.start_container.empty()) keep.insert(keep.end(), {launch_.hooks_stdout, launch_.hooks_stderr});
    TRY(close_all_but(keep, launch_.preserve_fds));
    TRY(confinement.load_late());
    // The runtime may end as soon as it has answered; should it die before, there is no answer.
    TRY(die_with_runtime(0));
    TRY(say(first_.sync, {.word = Word::kReady, .text = {}}));
    TRY(await_go(first_.sync));
    // A filter that is no filter of a program's may have forbidden read(2).
    TRY(say(first_.sync, {.word = Word::kReady, .text = {}}));
    ::close(first_.sync);
    TRY(await_gate());
    if (!config_.hooks.start_container.empty())
      TRY(launch::run_hooks(config_.hooks.start_container, "startContainer", launch_.hook_state(::getpid(), "created"),
                            {.stdout_fd = launch_.hooks_stdout, .stderr_fd = launch_.hooks_stderr}));
    return Failure(confinement.execute());
  }

  // Open for writing too, so that this waits instead of seeing an end of file: fifo(7).
  Result<> await_gate() {
    char byte = 0;
    ssize_t size = 0;
    do {
      size = ::read(launch_.gate, &byte, 1);
    } while (size < 0 && errno == EINTR);
    waited_at_gate_ = true;
    if (size != 1) return fail_errno("waiting for the start");
    return {};
  }

  const FirstProcess& first_;
  const oci::Config& config_;
  const Launch& launch_;
  std::optional<Proc> proc_;
  Groups groups_ = Groups::kCannot;
  bool waited_at_gate_ = false;
};

}  // namespace

bool has_runtime_hooks(const oci::Config& config) {
  return !config.hooks.prestart.empty() || !config.hooks.create_runtime.empty();
}

Result<pid_t> clone_process(const CloneOptions& options) {
  clone_args args{};
  args.flags = options.flags;
  args.exit_signal = (options.flags & CLONE_PARENT) != 0 ? 0 : SIGCHLD;
  if (options.cgroup >= 0) {
    args.flags |= CLONE_INTO_CGROUP;
    args.cgroup = static_cast<__u64>(options.cgroup);
  }
  if (options.pidfd != nullptr) {
    args.flags |= CLONE_PIDFD;
    args.pidfd = reinterpret_cast<std::uintptr_t>(options.pidfd);
  }
  const long pid = ::syscall(SYS_clone3, &args, sizeof args);
  if (pid < 0) return fail_errno("starting the container's process");
  return static_cast<pid_t>(pid);
}

void run_first(const FirstProcess& first) {
  First(first).run();
}

}  // namespace clawrun::container
