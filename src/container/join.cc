// The process of an `exec`. What needs rights, memory or descriptors that the container's processes must not have is done outside
// of its pid namespace, where they do not see it: setns(2) CLONE_NEWPID moves only the children. Whom they see from its first
// moment on, and with CAP_SYS_PTRACE can trace and look into, is what config.json makes of a process: in its namespaces, with its
// ids, capabilities and filter, and with no descriptor but the container's own and the socket of the start.
#include <fcntl.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <csignal>
#include <cstring>

#include "container/confinement.h"
#include "container/filters.h"
#include "container/process.h"
#include "container/sync.h"
#include "container/terminal.h"
#include "sys/sys.h"

namespace clawrun::container {

namespace {

// It would be found in the copy of this memory, and in its /proc/PID/environ.
void forget_environment() {
  for (char** variable = ::environ; *variable != nullptr; ++variable) ::explicit_bzero(*variable, std::strlen(*variable));
}

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
    TRY(close_all_but(kept(), join_.preserve_fds));
    // Before the first setns: processes in a namespace that is not the pid namespace must not look into it (CVE-2016-9962).
    if (::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) return fail_errno("becoming untraceable");
    if (joining_.config.process && process_.exec_cpu_affinity) TRY(set_affinity(process_.exec_cpu_affinity->initial));
    TRY(join_cgroups(join_.join_files));
    const Groups groups = TRY(take_place());
    forget_environment();
    return become_process(groups);
  }

  std::vector<int> kept() const {
    std::vector<int> keep = {joining_.sync, join_.console_socket};
    keep.insert(keep.end(), join_.join_files.begin(), join_.join_files.end());
    for (const JoinedNamespace& one : joining_.namespaces.joined) keep.push_back(one.fd.get());
    return keep;
  }

  // All that is inherited, and neither an identity nor a filter.
  Result<Groups> take_place() const {
    const Proc proc = TRY(Proc::open());
    TRY(join_namespaces(joining_.namespaces));
    if (!join_.no_new_keyring) TRY(new_keyring(process_, proc));
    ::umask(process_.user.umask.value_or(0022));
    if (process_.terminal) TRY(make_terminal());
    if (!process_.terminal) give_pipes(process_.user.uid);
    if (process_.exec_cpu_affinity) TRY(set_affinity(process_.exec_cpu_affinity->final));
    TRY(set_io_priority(process_));
    if (inherits_scheduler(process_)) TRY(set_scheduler(0, process_));
    TRY(set_personality(joining_.config));
    TRY(label_next_exec(proc, process_));
    return groups_of(joining_.config, proc);
  }

  Result<> make_terminal() const {
    const UniqueFd root = TRY(sys::open("/", O_PATH | O_DIRECTORY));
    const Terminal made = TRY(open_terminal(root.get()));
    if (process_.console_size) TRY(set_size(made.master.get(), *process_.console_size));
    if (join_.console_socket >= 0) TRY(send_master(join_.console_socket, made));
    return place_terminal(made, process_.user.uid);
  }

  // The filter is loaded before the clone, unless it refuses what is to be done after it. Without no_new_privs loading it needs
  // rights: in that one case they, too, are given up only after the clone.
  Result<> become_process(Groups groups) {
    const bool filter_first = let_join(join_.filters, joining_.sync);
    const bool confines_first = filter_first || process_.no_new_privileges;
    Confinement confinement({.config = joining_.config,
                             .process = process_,
                             .namespaces = joining_.namespaces,
                             .filters = join_.filters,
                             .groups = groups,
                             .limits = confines_first ? LimitsFor::kCloneAndExec : LimitsFor::kExec,
                             .sync = joining_.sync});
    TRY(close_all_but({joining_.sync}, join_.preserve_fds));
    if (!confines_first) TRY(enter());
    TRY(confinement.run());
    // Paths of /proc/self mean nothing before the clone.
    const auto settled = confinement.settle();
    if (filter_first) TRY(confinement.load_late());
    if (confines_first) TRY(enter());
    if (!settled && !confinement.settle()) return settled;
    if (confines_first && limits_processes(process_)) TRY(set_limits(0, process_, LimitsFor::kExec));
    if (!filter_first) TRY(confinement.load_late());
    TRY(die_with_runtime(0));
    // What ends without a word before this has died; after it, it has executed.
    TRY(say(joining_.sync, {.word = Word::kReady, .text = {}}));
    return Failure(confinement.execute());
  }

  // clone(2), not clone3(2), which filters cannot look into and many refuse.
  Result<> enter() const {
    const long pid = ::syscall(SYS_clone, CLONE_PARENT, nullptr, nullptr, nullptr, nullptr);
    if (pid < 0) return fail_errno("starting the process in the container's pid namespace");
    if (pid > 0) {
      (void)say(joining_.sync, {.word = Word::kStarted, .number = pid, .text = {}});
      ::_exit(0);
    }
    TRY(die_with_runtime(SIGKILL));
    TRY(await_go(joining_.sync));
    if (::setsid() < 0) return fail_errno("starting a session");
    return process_.terminal ? control_terminal() : Result<>{};
  }

  const JoiningProcess& joining_;
  const oci::Process& process_;
  const Join& join_;
};

}  // namespace

void run_joining(const JoiningProcess& joining) {
  Joining(joining).run();
}

}  // namespace clawrun::container
