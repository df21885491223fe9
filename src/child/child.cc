// The order of things between clone3 and exec. Each step's place has a reason; moving one is a security decision.

#include <linux/magic.h>
#include <linux/prctl.h>
#include <linux/sched.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <csignal>

#include "child/clone.h"
#include "child/internal.h"
#include "init/protocol.h"

namespace clawrun::child {

namespace {

constexpr long kEacces = -13;
constexpr long kEbusy = -16;
constexpr std::uint64_t kNoSignals = 0;
constexpr unsigned kMoveByDescriptors = 0x4 | 0x40;  // MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH: move_mount(2)

void mark(const ChildPlan& plan, Stage stage) {
  struct {
    std::int64_t seconds;
    std::int64_t nanoseconds;
  } now{};
  sys(__NR_clock_gettime, 1 /* CLOCK_MONOTONIC */, &now);
  plan.stages_ns[static_cast<std::size_t>(stage)] =
      static_cast<std::uint64_t>(now.seconds) * 1'000'000'000U + static_cast<std::uint64_t>(now.nanoseconds);
}

void send(const ChildPlan& plan, const Report& report) {
  while (sys(__NR_write, plan.report_fd, &report, sizeof report) == kEintr) {
  }
}

void insert(int* ascending, std::size_t& count, int fd) {
  std::size_t at = count++;
  for (; at > 0 && ascending[at - 1] > fd; --at) ascending[at] = ascending[at - 1];
  ascending[at] = fd;
}

// Out of the way of what is placed, whatever the host has closed.
int lifted(int fd) {
  if (fd > kLastGiven) return fd;
  const long moved = sys(__NR_fcntl, fd, F_DUPFD_CLOEXEC, kLastGiven + 1);
  if (moved < 0) sys(__NR_exit_group, 125);
  sys(__NR_close, fd);
  return static_cast<int>(moved);
}

// Made in here and sent out, because a fork of the host between pipe2(2) and clone3(2) would hold the write end, and the
// parent would wait for an end of file that does not come.
void open_report(ChildPlan& plan) {
  int ends[2];
  const long made = plan.park == Park::kNever ? sys(__NR_pipe2, ends, O_CLOEXEC)
                                              : sys(__NR_socketpair, AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends);
  if (made < 0 || send_descriptor(plan.control_fd, ends[0]) < 0) sys(__NR_exit_group, 125);
  plan.report_fd = lifted(ends[1]);
  insert(plan.keep_fds, plan.keep_fd_count, plan.report_fd);
}

// A handler of the host must never run in here: the dispositions are reset before any signal is unblocked.
// Where clone3 took CLONE_CLEAR_SIGHAND this only resets what was ignored.
void reset_signals() {
  const struct {
    void* handler;
    std::uint64_t flags;
    void* restorer;
    std::uint64_t mask;
  } action{};
  for (int signal = 1; signal <= 64; ++signal) sys(__NR_rt_sigaction, signal, &action, nullptr, sizeof(std::uint64_t));
}

void await_gate(const ChildPlan& plan) {
  char byte = 0;
  long size = 0;
  do {
    size = sys(__NR_read, plan.control_fd, &byte, 1);
  } while (size == kEintr);
  // End of file: the parent gave up or died; nobody is there to read a report.
  if (size != 1) sys(__NR_exit_group, 1);
}

void write_file(const ChildPlan& plan, const char* path, const char* text) {
  const long fd = must(plan, Step::kIdentity, sys(__NR_openat, AT_FDCWD, path, O_WRONLY | O_CLOEXEC));
  must(plan, Step::kIdentity, sys(__NR_write, fd, text, length_of(text)));
  sys(__NR_close, fd);
}

// One line each that maps the caller to itself, without setgroups: all that an ordinary user may write, and may write in
// here as well as outside (user_namespaces(7)).
void map_own_ids(const ChildPlan& plan) {
  write_file(plan, "/proc/self/setgroups", "deny");
  write_file(plan, "/proc/self/uid_map", plan.uid_map);
  write_file(plan, "/proc/self/gid_map", plan.gid_map);
}

// A supervisor that died before the call sends no signal; its end of the socket is closed then.
void die_with_parent(const ChildPlan& plan) {
  must(plan, Step::kParentDeath, sys(__NR_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0));
  char byte = 0;
  if (sys(__NR_recvfrom, plan.control_fd, &byte, 1, 0x42 /* MSG_DONTWAIT | MSG_PEEK */, nullptr, nullptr) == 0)
    sys(__NR_exit_group, 1);
}

void join_cgroups(const ChildPlan& plan) {
  for (std::uint32_t i = 0; i < plan.join_fd_count; ++i) {
    must(plan, Step::kJoinCgroup, sys(__NR_write, plan.join_fds[i], "0", 1), i);
    sys(__NR_close, plan.join_fds[i]);
  }
}

void become(const ChildPlan& plan) {
  if (plan.drop_groups) must(plan, Step::kIdentity, sys(__NR_setgroups, 0, nullptr));
  if (!plan.change_identity) return;
  // Kept over the change, to mount with; all of them are dropped before exec.
  must(plan, Step::kIdentity, sys(__NR_prctl, PR_SET_KEEPCAPS, 1, 0, 0, 0));
  must(plan, Step::kIdentity, sys(__NR_setresgid, plan.gid, plan.gid, plan.gid));
  must(plan, Step::kIdentity, sys(__NR_setresuid, plan.uid, plan.uid, plan.uid));
  // The change cleared the effective set: capabilities(7)
  struct {
    std::uint32_t version;
    int pid;
  } header{0x20080522, 0};
  struct {
    std::uint32_t effective, permitted, inheritable;
  } data[2] = {};
  must(plan, Step::kIdentity, sys(__NR_capget, &header, data));
  for (auto& half : data) half.effective = half.permitted;
  must(plan, Step::kIdentity, sys(__NR_capset, &header, data));
}

void switch_root(const ChildPlan& plan, const Root& root) {
  must(plan, Step::kPivotRoot, sys(__NR_fchdir, root.base));
  // New and old root may be the same directory: the old one is then stacked on top, and is taken off again: pivot_root(2).
  // umount2 takes the topmost only, and one that stays is not hidden: "/.." leads to it.
  must(plan, Step::kPivotRoot, sys(__NR_pivot_root, ".", "."));
  for (int i = 0; i < root.covers; ++i) must(plan, Step::kDetachOldRoot, sys(__NR_umount2, ".", 2 /* MNT_DETACH */));
  must(plan, Step::kDetachOldRoot, sys(__NR_chdir, "/"));
  struct stat here {};
  struct stat above {};
  must(plan, Step::kDetachOldRoot, sys(__NR_newfstatat, AT_FDCWD, "/", &here, 0));
  must(plan, Step::kDetachOldRoot, sys(__NR_newfstatat, AT_FDCWD, "/..", &above, 0));
  if (here.st_dev != above.st_dev || here.st_ino != above.st_ino) fail(plan, Step::kDetachOldRoot, kEbusy);
  sys(__NR_close, root.base);
}

void enter_workdir(const ChildPlan& plan) {
  must(plan, Step::kWorkdir, sys(__NR_chdir, plan.workdir));
  // A directory outside the root has no path from it (CVE-2024-21626).
  char path[4096];
  const long size = sys(__NR_getcwd, path, sizeof path);
  if (size < 0 || path[0] != '/') fail(plan, Step::kWorkdir, size < 0 ? size : kEnoent);
  if (!plan.send_workdir) return;
  const long fd = must(plan, Step::kWorkdir, sys(__NR_openat, AT_FDCWD, ".", O_PATH | O_DIRECTORY | O_CLOEXEC));
  must(plan, Step::kWorkdir, send_descriptor(plan.control_fd, static_cast<int>(fd)));
  sys(__NR_close, fd);
}

// The first candidate that can be executed, as execvp(3) would find it. Looked up before the filters are loaded, so that
// no filter can make a missing command look like something else.
std::uint32_t find_command(const ChildPlan& plan) {
  long best = kEnoent;
  for (std::uint32_t i = 0; plan.candidates[i] != nullptr; ++i) {
    struct stat info {};
    const long found = sys(__NR_newfstatat, AT_FDCWD, plan.candidates[i], &info, 0);
    if (found == kEacces) best = kEacces;
    if (found < 0) continue;
    const bool usable = S_ISREG(info.st_mode) && sys(__NR_faccessat, AT_FDCWD, plan.candidates[i], 1 /* X_OK */) == 0;
    if (usable) return i;
    best = kEacces;
  }
  fail(plan, Step::kCommandFound, best);
}

// What the command needs besides the plan. The socket pair is made in here, so that no fork of the host can hold an end of it.
struct CommandStart {
  const ChildPlan* plan;
  int gate[2];  // the network namespace, then end of file when init has taken over pid 1 and can no longer be looked into
};

// Init has taken over pid 1 when its end of the gate is closed: from then on nothing in this pid namespace shares memory with
// the supervisor but this process itself.
void await_init(const ChildPlan& plan, const int* gate) {
  if (gate == nullptr) return;
  char byte = 0;
  long size = 0;
  do {
    size = sys(__NR_read, gate[0], &byte, 1);
  } while (size == kEintr);
  must(plan, Step::kGate, size);
}

// What is left besides stdio: the preserved ones, and two that the exec closes.
void pass_on_descriptors(const ChildPlan& plan, const int* gate) {
  int keep[260];
  std::size_t count = 0;
  for (int i = 0; i < 2; ++i)
    if (plan.given[i] >= 0) keep[count++] = static_cast<int>(must(plan, Step::kStdio, sys(__NR_dup3, plan.given[i], 3 + i, 0)));
  for (std::size_t i = 0; i < plan.preserve_fd_count; ++i) {
    keep[count++] = plan.preserve_fds[i];
    must(plan, Step::kCloseFds, sys(__NR_fcntl, plan.preserve_fds[i], F_SETFD, 0));
  }
  insert(keep, count, plan.report_fd);
  if (gate != nullptr) insert(keep, count, gate[0]);
  close_all_but(plan, keep, count);
}

// A time namespace whose clocks begin now, so that the host's uptime stays outside. It holds from the exec on:
// time_namespaces(7).
void enter_time_namespace(const ChildPlan& plan) {
  must(plan, Step::kTimeNamespace, sys(__NR_unshare, CLONE_NEWTIME));
  struct {
    std::int64_t seconds;
    std::int64_t nanoseconds;
  } boot{};
  sys(__NR_clock_gettime, 7 /* CLOCK_BOOTTIME */, &boot);
  char digits[20];
  std::size_t begin = sizeof digits;
  for (std::int64_t rest = boot.seconds; rest > 0 || begin == sizeof digits; rest /= 10)
    digits[--begin] = static_cast<char>('0' + rest % 10);
  char text[96];
  std::size_t size = 0;
  const auto append = [&](const char* from, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) text[size++] = from[i];
  };
  append("boottime -", 10);
  append(digits + begin, sizeof digits - begin);
  append(" 0\n", 3);
  // The change of uid made files of /proc/self the host root's; nothing untrusted runs in this pid namespace yet.
  must(plan, Step::kTimeNamespace, sys(__NR_prctl, PR_SET_DUMPABLE, 1, 0, 0, 0));
  const long fd = must(plan, Step::kTimeNamespace, sys(__NR_openat, AT_FDCWD, "/proc/self/timens_offsets", O_WRONLY | O_CLOEXEC));
  // A root may change under us while it is shared: only the kernel's own /proc will do (CVE-2025-52881).
  struct statfs info {};
  must(plan, Step::kTimeNamespace, sys(__NR_fstatfs, fd, &info));
  if (info.f_type != PROC_SUPER_MAGIC) fail(plan, Step::kTimeNamespace, kEnoent);
  must(plan, Step::kTimeNamespace, sys(__NR_write, fd, text, size));
  sys(__NR_close, fd);
}

// Whoever holds it takes the namespace apart, and not the last process in it, whose end is waited for.
void send_mounts(const ChildPlan& plan) {
  const long fd = must(plan, Step::kPivotRoot, sys(__NR_openat, AT_FDCWD, "/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC));
  must(plan, Step::kPivotRoot, send_descriptor(plan.control_fd, static_cast<int>(fd)));
  sys(__NR_close, fd);
}

// Outside everything was checked that can be known there; the source is not a symbolic link's any more, but a mount.
void mount_workspace(const ChildPlan& plan, long mount) {
  const long target =
      must(plan, Step::kWorkspace, sys(__NR_openat, AT_FDCWD, plan.claimed_workspace, O_PATH | O_DIRECTORY | O_CLOEXEC));
  must(plan, Step::kWorkspace, sys(__NR_move_mount, mount, "", target, "", kMoveByDescriptors));
  sys(__NR_close, target);
  sys(__NR_close, mount);
}

// The claim: what is to be executed is in the plan when the message comes. Until then there is nothing of it in here.
void await_claim(const ChildPlan& plan) {
  send(plan, {Step::kParked, 0, kNoIndex});
  const long mount = receive_streams(plan.report_fd);
  if (mount == kNoDescriptor) return;
  must(plan, Step::kClaim, mount);
  if (plan.park != Park::kMounted) fail(plan, Step::kClaim, kEbusy);
  mount_workspace(plan, mount);
  enter_workdir(plan);
}

void confine(const ChildPlan& plan, const int* gate, const char* command) {
  drop_capabilities(plan, plan.keep_capabilities);
  must(plan, Step::kNoNewPrivs, sys(__NR_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
  enter_landlock(plan, command);
  pass_on_descriptors(plan, gate);
  // After everything that opens a descriptor: a small RLIMIT_NOFILE is meant for the command.
  set_rlimits(plan);
  sys(__NR_rt_sigprocmask, SIG_SETMASK, &kNoSignals, nullptr, sizeof kNoSignals);
  mark(plan, Stage::kConfined);
}

// Loading the filters takes as long as init's exec, so where they are known to let read(2) pass they go first.
void finish_confinement(const ChildPlan& plan, const int* gate) {
  if (!plan.filters_allow_read) await_init(plan, gate);
  load_filters(plan);
  if (plan.filters_allow_read) await_init(plan, gate);
}

[[noreturn]] void run_command(const ChildPlan& plan, const int* gate) {
  if (gate != nullptr) must(plan, Step::kSession, sys(__NR_setsid));
  if (gate != nullptr) sys(__NR_close, gate[1]);
  sys(__NR_umask, 0);
  const Root root = build_root(plan);
  mark(plan, Stage::kMounted);
  switch_root(plan, root);
  mark(plan, Stage::kPivoted);
  if (plan.new_network_namespace) gate != nullptr ? join_network(plan, gate[0]) : make_network(plan);
  if (plan.terminal) open_terminal(plan);
  if (plan.new_time_namespace) enter_time_namespace(plan);
  sys(__NR_umask, plan.umask);
  enter_workdir(plan);
  if (plan.park != Park::kNever) send_mounts(plan);
  std::uint32_t command = 0;
  if (plan.park == Park::kConfined) {
    confine(plan, gate, nullptr);
    finish_confinement(plan, gate);
    await_claim(plan);
    command = find_command(plan);
    send(plan, {Step::kReady, 0, command});
  } else {
    if (plan.park == Park::kMounted) {
      await_init(plan, gate);
      await_claim(plan);
    }
    command = find_command(plan);
    confine(plan, gate, plan.candidates[command]);
    send(plan, {Step::kReady, 0, command});
    finish_confinement(plan, gate);
  }
  const long error =
      sys(__NR_execve, plan.candidates[command], plan.argv, plan.envp, 0L, 0L, static_cast<long>(plan.start_cookie));
  fail(plan, Step::kExec, error, command);
}

void command_main(void* argument) {
  const CommandStart start = *static_cast<const CommandStart*>(argument);
  run_command(*start.plan, start.gate);
}

// Pid 2 is cloned before pid 1 becomes init, because only this image holds what the command needs: it builds the root and
// executes the command, while pid 1 makes the network and executes init on another processor. It shares the supervisor's memory
// until its own exec, and waits for init's.
[[noreturn]] void become_init(const ChildPlan& plan) {
  CommandStart start{&plan, {-1, -1}};
  must(plan, Step::kStartCommand, sys(__NR_socketpair, AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, start.gate));
  for (int& fd : start.gate) fd = lifted(fd);
  must(plan, Step::kStartCommand, clawrun_clone(CLONE_VM | SIGCHLD, plan.command_stack_top, nullptr, command_main, &start));
  if (plan.new_network_namespace) {
    make_network(plan);
    send_network(plan, start.gate[1]);
  }
  drop_capabilities(plan, 0);
  must(plan, Step::kNoNewPrivs, sys(__NR_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
  // Moved out of the way first: any of the three may already have a number that another is to get.
  constexpr int kAside = 7;
  const long control = must(plan, Step::kExecInit, sys(__NR_fcntl, plan.control_fd, F_DUPFD, kAside));
  const long gate = must(plan, Step::kExecInit, sys(__NR_fcntl, start.gate[1], F_DUPFD, kAside));
  const long image = must(plan, Step::kExecInit, sys(__NR_fcntl, plan.init_fd, F_DUPFD_CLOEXEC, kAside));
  const long report = must(plan, Step::kExecInit, sys(__NR_fcntl, plan.report_fd, F_DUPFD_CLOEXEC, kAside));
  const bool has_deadline = plan.deadline_fd >= 0;
  const long deadline = has_deadline ? must(plan, Step::kExecInit, sys(__NR_fcntl, plan.deadline_fd, F_DUPFD, kAside)) : -1;
  must(plan, Step::kExecInit, sys(__NR_dup3, control, init::kControlFd, 0));
  must(plan, Step::kExecInit, sys(__NR_dup3, gate, init::kGateFd, 0));
  if (plan.init_lingers) must(plan, Step::kExecInit, sys(__NR_dup3, control, init::kLingerFd, 0));
  if (has_deadline) must(plan, Step::kExecInit, sys(__NR_dup3, deadline, init::kDeadlineFd, 0));
  int keep[6] = {init::kControlFd, init::kGateFd};
  std::size_t count = 2;
  if (plan.init_lingers) keep[count++] = init::kLingerFd;
  if (has_deadline) keep[count++] = init::kDeadlineFd;
  insert(keep, count, static_cast<int>(image));
  insert(keep, count, static_cast<int>(report));
  close_all_but(plan, keep, count);
  // Not stdio: a reader of the command's output must see its end when the command closes it.
  for (int fd = 0; fd <= 2; ++fd) sys(__NR_close, fd);
  // The signal comes from the thread that is the parent. From here on the end of the process is seen by init on its socket.
  if (plan.outlives_thread) must(plan, Step::kParentDeath, sys(__NR_prctl, PR_SET_PDEATHSIG, 0, 0, 0, 0));
  const char* const argv[] = {"clawrun-init", nullptr};
  const char* const envp[] = {nullptr};
  const long error = sys(__NR_execveat, image, "", argv, envp, 0x1000 /* AT_EMPTY_PATH */);
  const Report failed{Step::kExecInit, static_cast<std::int32_t>(-error), kNoIndex};
  sys(__NR_write, report, &failed, sizeof failed);
  sys(__NR_exit_group, 1);
  __builtin_unreachable();
}

}  // namespace

void fail(const ChildPlan& plan, Step step, long error, std::uint32_t index) {
  send(plan, {step, static_cast<std::int32_t>(-error), index});
  // The codes of the exit table (tables/exit_codes.h), should anybody look at this process instead of the report.
  for (;;) sys(__NR_exit_group, step == Step::kExec ? 126 : step == Step::kCommandFound ? 127 : 125);
}

void child_main(void* argument) {
  ChildPlan& plan = *static_cast<ChildPlan*>(argument);
  reset_signals();
  open_report(plan);
  for (int fd = 0; fd <= 2; ++fd) {
    if (plan.stdio[fd] >= 0) must(plan, Step::kStdio, sys(__NR_dup3, plan.stdio[fd], fd, 0));
    // Some hosts (Node) mark their own streams as close-on-exec.
    if (plan.stdio[fd] < 0) sys(__NR_fcntl, fd, F_SETFD, 0);
  }
  // Before the gate: copies of the supervisor's own ends, and those of sandboxes that other threads are starting, would keep
  // everybody from seeing their end.
  close_all_but(plan, plan.keep_fds, plan.keep_fd_count);
  die_with_parent(plan);
  mark(plan, Stage::kStarted);
  join_cgroups(plan);
  if (plan.uid_map != nullptr) map_own_ids(plan);
  if (plan.uid_map == nullptr || plan.wait_at_gate) await_gate(plan);
  mark(plan, Stage::kReleased);
  if (plan.new_cgroup_namespace) must(plan, Step::kCgroupNamespace, sys(__NR_unshare, CLONE_NEWCGROUP));
  // PR_SCHED_CORE_CREATE for this process; those that it forks inherit the cookie: prctl(2), PR_SCHED_CORE
  if (plan.core_scheduling) must(plan, Step::kCoreScheduling, sys(__NR_prctl, 62, 1, 0, 1 /* PIDTYPE_TGID */, 0));
  must(plan, Step::kSession, sys(__NR_setsid));
  become(plan);
  // A change of uid takes the parent-death signal away: prctl(2)
  die_with_parent(plan);
  // KEYCTL_JOIN_SESSION_KEYRING: keys of the caller's session stay outside.
  const long keyring = sys(__NR_keyctl, 1, nullptr);
  if (keyring < 0 && keyring != -38 /* ENOSYS: a kernel without keys */) fail(plan, Step::kKeyring, keyring);
  // pivot_root(2) takes along whoever stands in the old root directory, and init holds nothing else of the host.
  must(plan, Step::kSession, sys(__NR_chdir, "/"));
  if (plan.init_fd >= 0) become_init(plan);
  run_command(plan, nullptr);
}

}  // namespace clawrun::child
