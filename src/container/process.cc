#include "container/process.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>

#include "base/text.h"
#include "container/landlock.h"
#include "container/root.h"
#include "container/sync.h"
#include "container/terminal.h"
#include "launch/hooks.h"
#include "oci/annotations.h"
#include "sys/sys.h"

namespace clawrun::container {

namespace {

// How much of an error fits into one write to a FIFO that is atomic: pipe(7) PIPE_BUF.
constexpr std::size_t kLongestReport = 3000;

// Everything back to what a program expects, whatever the caller of the runtime ignored or blocked.
void reset_signals() {
  struct sigaction action {};
  action.sa_handler = SIG_DFL;
  for (int signal = 1; signal <= SIGRTMAX; ++signal) ::sigaction(signal, &action, nullptr);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

// Nothing else of the runtime's, nor of its caller's, is there before the first step that the container's side controls
// (CVE-2024-21626). What is kept closes at the exec.
Result<> close_all_but(std::vector<int> keep, unsigned preserved) {
  std::erase_if(keep, [&](int fd) { return fd < 0 || fd < static_cast<int>(3 + preserved); });
  std::ranges::sort(keep);
  unsigned from = 3 + preserved;
  for (const int fd : keep) {
    if (::fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) return fail_errno("keeping a descriptor");
    if (static_cast<unsigned>(fd) > from && ::close_range(from, static_cast<unsigned>(fd) - 1, 0) != 0)
      return fail_errno("closing descriptors");
    from = static_cast<unsigned>(fd) + 1;
  }
  if (::close_range(from, ~0U, 0) != 0) return fail_errno("closing descriptors");
  return {};
}

Result<> await_go(int sync) {
  const auto message = TRY(hear(sync));
  // The runtime is gone, and with it who would read an error.
  if (!message) ::_exit(1);
  if (message->word != Word::kGo) return fail(ErrorKind::kInternal, "another answer was expected");
  return {};
}

Result<> join_cgroups(const std::vector<int>& files) {
  for (const int file : files)
    if (::write(file, "0", 1) != 1) return fail_errno("joining the container's cgroup");
  return {};
}

Result<> die_with_runtime(int signal) {
  if (::prctl(PR_SET_PDEATHSIG, signal, 0, 0, 0) != 0) return fail_errno("asking for the parent-death signal");
  return {};
}

Result<> become_root_of_namespace() {
  if (::setresgid(0, 0, 0) != 0 || ::setresuid(0, 0, 0) != 0)
    return fail_errno("becoming root of the user namespace (linux.uidMappings and gidMappings must map id 0)");
  return {};
}

// Without a name: with one it would be anybody's keyring of that name which lets itself be found, and a container knows the names
// of others (keyctl_join_session_keyring(3)).
Result<> new_keyring(const oci::Process& process, const Proc& proc) {
  if (!process.selinux_label.empty()) (void)proc.write_self("attr/keycreate", process.selinux_label);
  if (::syscall(SYS_keyctl, 1 /* KEYCTL_JOIN_SESSION_KEYRING */, nullptr) < 0 && errno != ENOSYS)
    return fail_errno("joining a session keyring of its own (--no-new-keyring leaves it out)");
  return {};
}

bool may_set_groups(const Proc& proc) {
  const UniqueFd file(::openat(proc.fd(), "self/setgroups", O_RDONLY | O_CLOEXEC));
  char text[8] = {};
  const ssize_t size = file.valid() ? ::read(file.get(), text, sizeof text - 1) : 0;
  return !std::string_view(text, size > 0 ? static_cast<std::size_t>(size) : 0).starts_with("deny");
}

// Returns the listener of the last program, or -1.
Result<int> load_filters(const Filters& filters) {
  int listener = -1;
  for (std::size_t i = 0; i < filters.programs.size(); ++i) {
    const auto& program = filters.programs[i];
    const sock_fprog loaded{static_cast<unsigned short>(program.size()), const_cast<sock_filter*>(program.data())};
    unsigned flags = filters.flags;
    const bool listens = filters.notify && i + 1 == filters.programs.size();
    if (listens) flags |= filters.listener_flags;
    const long result = ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &loaded);
    if (result < 0) return fail_errno("unable to init seccomp: loading the filter");
    if (listens) listener = static_cast<int>(result);
  }
  return listener;
}

// The words of both kinds of process from here on, where they are the same.
class Confinement {
 public:
  struct Parts {
    const oci::Config& config;
    const oci::Process& process;
    const Namespaces& namespaces;
    const Filters& filters;
    const Proc& proc;
    int sync = -1;
  };
  explicit Confinement(const Parts& parts)
      : config_(parts.config),
        process_(parts.process),
        namespaces_(parts.namespaces),
        filters_(parts.filters),
        proc_(parts.proc),
        sync_(parts.sync) {}

  // Identity, capabilities, no_new_privs, seccomp. The filter is loaded last where no_new_privs allows it, and before the
  // capabilities go where it does not: seccomp(2).
  Result<> run() {
    const oci::Annotated annotated = TRY(oci::annotations_of(config_));
    const Groups groups = annotated.keeps_groups ? Groups::kKeep : may_set_groups(proc_) ? Groups::kSet : Groups::kCannot;
    auto entered = enter_cwd(process_);
    if (!entered && entered.error().errno_value != EACCES && entered.error().errno_value != EPERM) return entered;
    environment_ = environment_of(process_);
    if (!process_.rlimits.empty()) TRY(take_limits());
    // While capabilities of the own namespaces allow it, and before a filter that may refuse its calls.
    const std::optional<Landlock> landlock = TRY(landlock_of(config_));
    if (landlock) TRY(enter_landlock(*landlock));
    if (process_.no_new_privileges) {
      TRY(set_no_new_privileges());
    } else {
      TRY(load());
    }
    TRY(become(process_, groups));
    TRY(die_with_runtime(SIGKILL));
    // A directory that only its owner may enter.
    if (!entered) TRY(enter_cwd(process_));
    executable_ = TRY(find_executable(process_));
    return {};
  }

  Result<> load_late() { return process_.no_new_privileges ? load() : Result<>{}; }

  void add_environment(std::string variable) { environment_.push_back(std::move(variable)); }

  // Only on failure does it return.
  Error execute() {
    std::vector<char*> argv;
    std::vector<char*> envp;
    for (const std::string& word : process_.args) argv.push_back(const_cast<char*>(word.c_str()));
    for (const std::string& variable : environment_) envp.push_back(const_cast<char*>(variable.c_str()));
    argv.push_back(nullptr);
    envp.push_back(nullptr);
    ::execve(executable_.c_str(), argv.data(), envp.data());
    const int error = errno;
    std::string hint;
    if (error == ENOENT) hint = " (the interpreter that its first line names, or its dynamic loader, is not in the container)";
    if (error == ENOEXEC) hint = " (neither an executable of this machine's kind nor a script with a #! line)";
    Failure failure = fail_errno("exec " + executable_, error);
    failure.error().message += hint;
    return failure.error();
  }

 private:
  // In another user namespace the rights that raise a limit are the runtime's alone.
  Result<> take_limits() {
    if (!namespaces_.creates(CLONE_NEWUSER) && !namespaces_.joins(CLONE_NEWUSER)) return set_limits(0, process_);
    TRY(say(sync_, {.word = Word::kLimits, .text = {}}));
    return await_go(sync_);
  }

  Result<> load() {
    const int listener = TRY(load_filters(filters_));
    if (listener < 0) return {};
    TRY(say(sync_, {.word = Word::kListener, .number = listener, .text = {}}));
    TRY(await_go(sync_));
    ::close(listener);
    return {};
  }

  const oci::Config& config_;
  const oci::Process& process_;
  const Namespaces& namespaces_;
  const Filters& filters_;
  const Proc& proc_;
  int sync_;
  std::vector<std::string> environment_;
  std::string executable_;
};

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
      groups_proc_ = std::move(*proc_);
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
    return take_terminal(made, config_.process->user.uid);
  }

  Result<> become_process() {
    const oci::Process& process = *config_.process;
    ::umask(process.user.umask.value_or(0022));
    TRY(schedule(process));
    TRY(set_personality(config_));
    if (config_.linux.memory_policy) TRY(set_memory_policy(*config_.linux.memory_policy));
    Confinement confinement({.config = config_,
                             .process = process,
                             .namespaces = first_.namespaces,
                             .filters = launch_.filters,
                             .proc = *groups_proc_,
                             .sync = first_.sync});
    TRY(confinement.run());
    if (launch_.listen_fds > 0) {
      confinement.add_environment("LISTEN_FDS=" + std::to_string(launch_.listen_fds));
      confinement.add_environment("LISTEN_PID=1");
      if (!launch_.listen_names.empty()) confinement.add_environment("LISTEN_FDNAMES=" + launch_.listen_names);
    }
    groups_proc_.reset();
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
  std::optional<Proc> groups_proc_;
  bool waited_at_gate_ = false;
};

class Joining {
 public:
  explicit Joining(const JoiningProcess& joining) : joining_(joining), process_(joining.process), join_(joining.join) {}

  [[noreturn]] void run() {
    const auto done = steps();
    const Error error = done ? Error{ErrorKind::kInternal, 0, "the process went on where it should have ended"} : done.error();
    (void)say(joining_.sync, {Word::kError, error.kind, error.errno_value, error.message});
    ::_exit(255);
  }

 private:
  Result<> steps() {
    reset_signals();
    TRY(die_with_runtime(SIGKILL));
    std::vector<int> keep = {joining_.sync, join_.console_socket};
    for (const int file : join_.join_files) keep.push_back(file);
    for (const JoinedNamespace& one : joining_.namespaces.joined) keep.push_back(one.fd.get());
    TRY(close_all_but(keep, join_.preserve_fds));
    // Before the first setns: the container's processes must not look into what is not its own yet (CVE-2016-9962).
    if (::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) return fail_errno("becoming untraceable");
    if (joining_.config.process && joining_.process.exec_cpu_affinity)
      TRY(set_affinity(joining_.process.exec_cpu_affinity->initial));
    TRY(join_cgroups(join_.join_files));
    const Proc proc = TRY(Proc::open());
    TRY(join_namespaces(joining_.namespaces));
    const pid_t pid = TRY(clone_process({.flags = CLONE_PARENT}));
    if (pid != 0) {
      (void)say(joining_.sync, {.word = Word::kStarted, .number = pid, .text = {}});
      ::_exit(0);
    }
    TRY(die_with_runtime(SIGKILL));
    TRY(await_go(joining_.sync));
    return become_process(proc);
  }

  Result<> become_process(const Proc& proc) {
    if (::setsid() < 0) return fail_errno("starting a session");
    if (!join_.no_new_keyring) TRY(new_keyring(process_, proc));
    ::umask(process_.user.umask.value_or(0022));
    if (process_.terminal) TRY(make_terminal());
    if (!process_.terminal) give_pipes(process_.user.uid);
    if (process_.exec_cpu_affinity) TRY(set_affinity(process_.exec_cpu_affinity->final));
    TRY(schedule(process_));
    TRY(set_personality(joining_.config));
    TRY(label_next_exec(proc, process_));
    Confinement confinement({.config = joining_.config,
                             .process = process_,
                             .namespaces = joining_.namespaces,
                             .filters = join_.filters,
                             .proc = proc,
                             .sync = joining_.sync});
    TRY(confinement.run());
    TRY(close_all_but({joining_.sync}, join_.preserve_fds));
    TRY(confinement.load_late());
    TRY(die_with_runtime(0));
    // What ends without a word before this has died; after it, it has executed.
    TRY(say(joining_.sync, {.word = Word::kReady, .text = {}}));
    return Failure(confinement.execute());
  }

  Result<> make_terminal() const {
    const UniqueFd root = TRY(sys::open("/", O_PATH | O_DIRECTORY));
    const Terminal made = TRY(open_terminal(root.get()));
    if (process_.console_size) TRY(set_size(made.master.get(), *process_.console_size));
    if (join_.console_socket >= 0) TRY(send_master(join_.console_socket, made));
    return take_terminal(made, process_.user.uid);
  }

  const JoiningProcess& joining_;
  const oci::Process& process_;
  const Join& join_;
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

void run_joining(const JoiningProcess& joining) {
  Joining(joining).run();
}

}  // namespace clawrun::container
