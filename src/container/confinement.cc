#include "container/confinement.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>

#include "container/filters.h"
#include "container/landlock.h"
#include "container/sync.h"
#include "oci/annotations.h"

namespace clawrun::container {

namespace {

bool may_set_groups(const Proc& proc) {
  const UniqueFd file(::openat(proc.fd(), "self/setgroups", O_RDONLY | O_CLOEXEC));
  char text[8] = {};
  const ssize_t size = file.valid() ? ::read(file.get(), text, sizeof text - 1) : 0;
  return !std::string_view(text, size > 0 ? static_cast<std::size_t>(size) : 0).starts_with("deny");
}

}  // namespace

void reset_signals() {
  struct sigaction action {};
  action.sa_handler = SIG_DFL;
  for (int signal = 1; signal <= SIGRTMAX; ++signal) ::sigaction(signal, &action, nullptr);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

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

// Without a name: with one it would be anybody's keyring of that name which lets itself be found, and a container knows the names
// of others (keyctl_join_session_keyring(3)).
Result<> new_keyring(const oci::Process& process, const Proc& proc) {
  if (!process.selinux_label.empty()) (void)proc.write_self("attr/keycreate", process.selinux_label);
  if (::syscall(SYS_keyctl, 1 /* KEYCTL_JOIN_SESSION_KEYRING */, nullptr) < 0 && errno != ENOSYS)
    return fail_errno("joining a session keyring of its own (--no-new-keyring leaves it out)");
  return {};
}

Result<Groups> groups_of(const oci::Config& config, const Proc& proc) {
  const oci::Annotated annotated = TRY(oci::annotations_of(config));
  return annotated.keeps_groups ? Groups::kKeep : may_set_groups(proc) ? Groups::kSet : Groups::kCannot;
}

Result<> Confinement::run() {
  entered_ = enter_cwd(process_).has_value();
  environment_ = environment_of(process_);
  if (!process_.rlimits.empty()) TRY(take_limits());
  // While capabilities of the own namespaces allow it, and before a filter that may refuse its calls.
  const std::optional<Landlock> landlock = TRY(landlock_of(parts_.config));
  if (landlock) TRY(enter_landlock(*landlock));
  if (process_.no_new_privileges) {
    TRY(set_no_new_privileges());
  } else {
    TRY(load());
  }
  TRY(become(process_, parts_.groups));
  return die_with_runtime(SIGKILL);
}

Result<> Confinement::settle() {
  // A directory that only its owner may enter.
  if (!entered_) TRY(enter_cwd(process_));
  entered_ = true;
  executable_ = TRY(find_executable(process_));
  return {};
}

Error Confinement::execute() {
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

// In another user namespace the rights that raise a limit are the runtime's alone.
Result<> Confinement::take_limits() {
  if (!parts_.namespaces.creates(CLONE_NEWUSER) && !parts_.namespaces.joins(CLONE_NEWUSER))
    return set_limits(0, process_, parts_.limits);
  TRY(say(parts_.sync, {.word = Word::kLimits, .number = static_cast<int>(parts_.limits), .text = {}}));
  return await_go(parts_.sync);
}

Result<> Confinement::load() {
  const int listener = TRY(load_filters(parts_.filters));
  if (listener < 0) return {};
  TRY(say(parts_.sync, {.word = Word::kListener, .number = listener, .text = {}}));
  TRY(await_go(parts_.sync));
  ::close(listener);
  return {};
}

}  // namespace clawrun::container
