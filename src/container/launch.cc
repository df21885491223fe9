#include "container/launch.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <optional>
#include <utility>

#include "base/text.h"
#include "container/confine.h"
#include "container/listener.h"
#include "container/mount.h"
#include "container/namespaces.h"
#include "container/net_devices.h"
#include "container/process.h"
#include "container/sync.h"
#include "launch/hooks.h"
#include "launch/ids.h"
#include "oci/annotations.h"
#include "sys/sys.h"

namespace clawrun::container {

namespace {

std::vector<plan::IdMapLine> lines_of(const std::vector<oci::IdMapping>& mappings) {
  std::vector<plan::IdMapLine> lines;
  for (const oci::IdMapping& mapping : mappings) lines.push_back({mapping.container_id, mapping.host_id, mapping.size});
  return lines;
}

void reap(pid_t pid) {
  while (::waitpid(pid, nullptr, __WALL) < 0 && errno == EINTR) {
  }
}

bool is_child(pid_t pid) {
  siginfo_t info{};
  return pid > 0 && ::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG | WNOWAIT | __WALL) == 0;
}

Result<UniqueFd> open_pidfd(pid_t pid) {
  UniqueFd fd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (!fd.valid()) return fail_errno("opening a pidfd");
  return fd;
}

Result<> adjust_oom_score(pid_t pid, const oci::Process& process) {
  if (!process.oom_score_adj) return {};
  auto written = sys::write_proc_file("/proc/" + std::to_string(pid) + "/oom_score_adj", std::to_string(*process.oom_score_adj));
  if (written) return {};
  // An ordinary user, or root without CAP_SYS_RESOURCE, may only raise it. What is there already needs no writing.
  const auto now = sys::read_file("/proc/" + std::to_string(pid) + "/oom_score_adj", 64);
  if (now && *now == std::to_string(*process.oom_score_adj) + "\n") return {};
  return while_doing("setting process.oomScoreAdj to " + std::to_string(*process.oom_score_adj), written.error());
}

// The conversation with the processes of one start. Whatever goes wrong, none of them is left.
class Conversation {
 public:
  Conversation() = default;
  Conversation(const Conversation&) = delete;
  Conversation& operator=(const Conversation&) = delete;
  ~Conversation() { end(); }

  // Kills whoever is there.
  void end() {
    for (pid_t* const pid : {&stage_, &started_.pid}) {
      if (*pid <= 0) continue;
      ::kill(*pid, SIGKILL);
      reap(std::exchange(*pid, -1));
    }
  }

  Result<> open() {
    sys::Ends ends = TRY(sys::socket_pair());
    ours_ = std::move(ends.first);
    theirs_ = std::move(ends.second);
    return {};
  }

  [[nodiscard]] int child_side() const { return theirs_.get(); }

  void cloned(pid_t pid, UniqueFd pidfd, bool staged) {
    theirs_.reset();
    if (staged) {
      stage_ = pid;
      stage_pidfd_ = std::move(pidfd);
    } else {
      started_ = {pid, std::move(pidfd)};
    }
  }

  Result<> go() { return say(ours_.get(), {.word = Word::kGo, .text = {}}); }
  Result<> give(const std::vector<UniqueFd>& descriptors) { return container::give(ours_.get(), descriptors); }

  // The next message; an error of the other side is one here.
  Result<Message> next() {
    const auto message = TRY(hear(ours_.get()));
    if (!message)
      return fail(ErrorKind::kSystem,
                  "the container's process died while it was being set up (was it killed, or out of memory?)");
    if (message->word == Word::kError) return Failure(Error{message->kind, static_cast<int>(message->number), message->text});
    return *message;
  }

  // The process that goes on is another one.
  Result<> note_started(pid_t pid) {
    // Whatever number this is, it is killed on failure, and a container that can trace the other one can say it in its place.
    if (stage_ <= 0 || pid == stage_ || !is_child(pid))
      return fail(ErrorKind::kInternal, "the process said something that was not expected");
    started_.pid = pid;
    reap(stage_);
    stage_ = -1;
    started_.pidfd = TRY(open_pidfd(pid));
    return {};
  }

  // True: end of file, which by close-on-exec means that it has executed.
  Result<bool> has_executed() {
    const auto message = TRY(hear(ours_.get()));
    if (!message) return true;
    if (message->word == Word::kError) return Failure(Error{message->kind, static_cast<int>(message->number), message->text});
    return false;
  }

  [[nodiscard]] pid_t stage() const { return stage_; }
  // Who is at it: the first process until it has cloned the other one.
  [[nodiscard]] pid_t speaker() const { return stage_ > 0 ? stage_ : started_.pid; }
  [[nodiscard]] int speaker_pidfd() const { return stage_ > 0 ? stage_pidfd_.get() : started_.pidfd.get(); }
  [[nodiscard]] const Started& started() const { return started_; }

  Started keep() {
    Started kept = std::move(started_);
    started_.pid = -1;
    return kept;
  }

 private:
  UniqueFd ours_;
  UniqueFd theirs_;
  pid_t stage_ = -1;
  UniqueFd stage_pidfd_;
  Started started_;
};

class Start {
 public:
  Start(const oci::Config& config, const Launch& launch) : config_(config), launch_(launch) {}

  Result<Started> run() {
    auto done = converse();
    if (done) return conversation_.keep();
    // Nobody is to be at work on the devices when they go back.
    conversation_.end();
    if (const auto back = net_devices_.give_back(); !back) done.error().message += "; " + back.error().message;
    return std::unexpected(std::move(done).error());
  }

 private:
  Result<> converse() {
    if (!config_.process) return fail(ErrorKind::kInvalid, "process: a container cannot be made without one");
    namespaces_ = TRY(open_namespaces(config_));
    TRY(check());
    TRY(open_mounts());
    TRY(conversation_.open());
    // In a new user namespace the others are made by its root, whose ids are mapped by then: what the kernel puts into them (the
    // directory of a new mqueue) would belong to nobody otherwise.
    staged_ = !namespaces_.joined.empty() || namespaces_.creates(CLONE_NEWUSER);
    TRY(clone());
    if (!staged_) TRY(begin());
    for (bool ready = false; !ready;) ready = TRY(answer());
    return {};
  }

  Result<> check() const {
    if (!namespaces_.creates(CLONE_NEWNS) && !namespaces_.joins(CLONE_NEWNS))
      return fail(ErrorKind::kInvalid,
                  "linux.namespaces: a mount namespace is needed, or the container's mounts would be the host's");
    if (config_.process->terminal && launch_.console_socket < 0)
      return fail(ErrorKind::kInvalid, "cannot allocate tty if runc will detach without setting console socket");
    if (!config_.process->terminal && launch_.console_socket >= 0)
      return fail(ErrorKind::kInvalid, "cannot use console socket if runc will not detach or allocate tty");
    return check_sysctls(config_);
  }

  // What only the runtime's own rights can open or map: all binds of a container with a user namespace of its own, and whatever
  // is id-mapped.
  Result<> open_mounts() {
    // An ordinary user has no rights that the process will not have too.
    const bool user = namespaces_.creates(CLONE_NEWUSER) && ::geteuid() == 0;
    site_.bundle = launch_.bundle;
    site_.mount_label = config_.linux.mount_label;
    site_.mount_context = TRY(oci::annotations_of(config_)).mount_context;
    site_.cgroup_namespace = namespaces_.creates(CLONE_NEWCGROUP);
    site_.user_namespace = namespaces_.creates(CLONE_NEWUSER) || namespaces_.joins(CLONE_NEWUSER) || in_user_namespace();
    for (std::size_t i = 0; i < config_.mounts.size(); ++i) {
      const oci::Mount& mount = config_.mounts[i];
      if (mount.options.idmap && !is_bind(mount))
        return fail(ErrorKind::kUnsupported, "mounts[" + std::to_string(i) + "]: only bind mounts can be id-mapped");
      const bool ours = mount.options.idmap || user;
      if (!ours || !is_bind(mount) || (mount.options.flags & 32 /* MS_REMOUNT */) != 0 || mount.options.copy_symlink) continue;
      auto tree = open_bind_source(mount, launch_.bundle);
      if (!tree) return while_doing("mounts[" + std::to_string(i) + "]", tree.error());
      if (mount.options.idmap && !mount.uid_mappings.empty()) {
        const UniqueFd mapped = TRY(launch::mapped_namespace(lines_of(mount.uid_mappings), lines_of(mount.gid_mappings)));
        TRY(map_mount(i, tree->get(), mapped.get()));
      }
      site_.opened.emplace(i, std::move(*tree));
    }
    return {};
  }

  Result<> map_mount(std::size_t index, int tree, int user_namespace) const {
    const oci::Mount& mount = config_.mounts[index];
    if (auto mapped = sys::set_idmap(tree, user_namespace, mount.options.recursive_idmap); !mapped)
      return while_doing("mounts[" + std::to_string(index) + "]: id-mapping " + quoted(mount.source) +
                             " (its file system must be able to: MOUNT_ATTR_IDMAP)",
                         mapped.error());
    return {};
  }

  // The root of the host's user namespace has all ids.
  static bool in_user_namespace() {
    const auto map = sys::read_file("/proc/self/uid_map", 4096);
    if (!map) return false;
    std::string words;
    for (const char c : *map)
      if (c != ' ' && c != '\n') words += c;
    return words != "004294967295";
  }

  Result<> clone() {
    int pidfd = -1;
    const pid_t pid = TRY(clone_process(
        {.flags = staged_ ? 0 : namespaces_.created & ~kMadeInside, .cgroup = launch_.clone_into_cgroup, .pidfd = &pidfd}));
    if (pid == 0)
      run_first({.config = config_,
                 .launch = launch_,
                 .namespaces = namespaces_,
                 .site = site_,
                 .sync = conversation_.child_side(),
                 .staged = staged_});
    conversation_.cloned(pid, UniqueFd(pidfd), staged_);
    if (!launch_.join_groups) return {};
    const std::vector<UniqueFd> files = TRY(launch_.join_groups());
    return conversation_.give(files);
  }

  Result<> map_ids(pid_t pid) {
    plan::IdMaps maps;
    maps.uids = lines_of(config_.linux.uid_mappings);
    maps.gids = lines_of(config_.linux.gid_mappings);
    if (::geteuid() != 0) {
      const bool own_uid = maps.uids.size() == 1 && maps.uids[0].count == 1 && maps.uids[0].outside == ::geteuid();
      const bool own_gid = maps.gids.size() == 1 && maps.gids[0].count == 1 && maps.gids[0].outside == ::getegid();
      maps.with_helpers = !own_uid || !own_gid;
      // user_namespaces(7): an ordinary user's map of groups is only allowed with it.
      if (!maps.with_helpers) TRY(sys::write_proc_file("/proc/" + std::to_string(pid) + "/setgroups", "deny"));
    }
    const launch::HostIds ids{maps.uids, maps.gids, UniqueFd()};
    if (auto written = launch::write_maps(maps, ids, pid); !written)
      return while_doing("mapping the container's ids", written.error());
    return map_own_mounts(pid);
  }

  // "idmap" without mappings of its own means those of the container.
  Result<> map_own_mounts(pid_t pid) {
    UniqueFd user_namespace;
    for (const auto& [index, tree] : site_.opened) {
      const oci::Mount& mount = config_.mounts[index];
      if (!mount.options.idmap || !mount.uid_mappings.empty()) continue;
      if (!user_namespace.valid()) user_namespace = TRY(sys::open("/proc/" + std::to_string(pid) + "/ns/user", O_RDONLY));
      TRY(map_mount(index, tree.get(), user_namespace.get()));
    }
    return {};
  }

  // The process that is to become the container's is there, with its ids.
  Result<> begin() {
    const pid_t pid = conversation_.started().pid;
    if (launch_.on_process) TRY(launch_.on_process(pid));
    TRY(adjust_oom_score(pid, *config_.process));
    return conversation_.go();
  }

  Result<bool> answer() {
    const Message message = TRY(conversation_.next());
    switch (message.word) {
      case Word::kMapMe:
        TRY(map_ids(conversation_.stage()));
        TRY(conversation_.go());
        return false;
      case Word::kStarted:
        TRY(conversation_.note_started(static_cast<pid_t>(message.number)));
        TRY(begin());
        return false;
      case Word::kNetwork:
        TRY(net_devices_.move(config_.linux.net_devices, conversation_.started().pid));
        TRY(conversation_.go());
        return false;
      case Word::kMounted:
        TRY(run_runtime_hooks());
        TRY(conversation_.go());
        return false;
      case Word::kListener: {
        const UniqueFd listener = TRY(take_listener(conversation_.speaker_pidfd(), static_cast<int>(message.number)));
        const pid_t pid = conversation_.started().pid;
        TRY(send_listener(config_, listener, pid, launch_.hook_state(pid, "creating")));
        TRY(conversation_.go());
        return false;
      }
      case Word::kLimits:
        TRY(set_limits(conversation_.speaker(), *config_.process, LimitsFor::kExec));
        TRY(conversation_.go());
        return false;
      case Word::kReady: {
        if (launch_.on_ready) TRY(launch_.on_ready(conversation_.started().pid, conversation_.started().pidfd.get()));
        TRY(conversation_.go());
        // Once more when it has heard that: under its filter it may be able to hear nothing.
        const Message heard = TRY(conversation_.next());
        if (heard.word == Word::kReady) return true;
        break;
      }
      case Word::kError:
      case Word::kGo:
      case Word::kJoin:
        break;
    }
    return fail(ErrorKind::kInternal, "the container's process said something that was not expected");
  }

  Result<> run_runtime_hooks() {
    const std::string state = launch_.hook_state(conversation_.started().pid, "creating");
    const launch::HookOptions options{
        .directory = launch_.bundle, .stdout_fd = launch_.hooks_stdout, .stderr_fd = launch_.hooks_stderr};
    TRY(launch::run_hooks(config_.hooks.prestart, "prestart", state, options));
    return launch::run_hooks(config_.hooks.create_runtime, "createRuntime", state, options);
  }

  const oci::Config& config_;
  const Launch& launch_;
  Namespaces namespaces_;
  Site site_;
  bool staged_ = false;
  NetDevices net_devices_;
  Conversation conversation_;
};

}  // namespace

Result<Started> start_process(const oci::Config& config, const Launch& launch) {
  return Start(config, launch).run();
}

Result<Started> join_process(const oci::Config& config, const oci::Process& process, const Join& join) {
  const Namespaces namespaces = TRY(namespaces_of(join.init));
  if (!join.is_alive()) return fail(ErrorKind::kInvalid, "cannot exec in a stopped container");
  Conversation conversation;
  TRY(conversation.open());
  int pidfd = -1;
  const pid_t pid = TRY(clone_process({.flags = 0, .cgroup = join.clone_into_cgroup, .pidfd = &pidfd}));
  if (pid == 0)
    run_joining(
        {.config = config, .process = process, .join = join, .namespaces = namespaces, .sync = conversation.child_side()});
  conversation.cloned(pid, UniqueFd(pidfd), true);
  UniqueFd listener;
  for (bool ready = false; !ready;) {
    const Message message = TRY(conversation.next());
    if (message.word == Word::kStarted) {
      TRY(conversation.note_started(static_cast<pid_t>(message.number)));
      const pid_t started = conversation.started().pid;
      if (listener.valid()) TRY(send_listener(config, listener, started, {}));
      if (join.on_process) TRY(join.on_process(started));
      TRY(adjust_oom_score(started, process));
      if (!inherits_scheduler(process)) TRY(set_scheduler(started, process));
      TRY(conversation.go());
    } else if (message.word == Word::kListener) {
      // From the first process already, whose pid the agent has no use for.
      listener = TRY(take_listener(conversation.speaker_pidfd(), static_cast<int>(message.number)));
      if (conversation.stage() <= 0) TRY(send_listener(config, listener, conversation.started().pid, {}));
      TRY(conversation.go());
    } else if (message.word == Word::kLimits) {
      const bool clones = message.number == static_cast<int>(LimitsFor::kCloneAndExec);
      TRY(set_limits(conversation.speaker(), process, clones ? LimitsFor::kCloneAndExec : LimitsFor::kExec));
      TRY(conversation.go());
    } else if (message.word == Word::kReady && conversation.stage() <= 0) {
      ready = true;
    } else {
      return fail(ErrorKind::kInternal, "the process said something that was not expected");
    }
  }
  for (bool executed = false; !executed;) executed = TRY(conversation.has_executed());
  return conversation.keep();
}

Result<> open_gate(const std::string& gate, const std::string& report) {
  // Opened before the gate, so that no end of it is missed.
  const UniqueFd answers = TRY(sys::open(report, O_RDONLY | O_NONBLOCK | O_NOFOLLOW));
  const UniqueFd fd(::open(gate.c_str(), O_WRONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC));
  // ENXIO: nobody waits there, because the process is dead.
  if (!fd.valid())
    return fail(ErrorKind::kSystem, errno == ENXIO ? "the container's process is gone" : "its gate cannot be opened");
  if (::write(fd.get(), "g", 1) != 1) return fail_errno("opening the gate");
  for (;;) {
    pollfd watched{answers.get(), POLLIN, 0};
    if (::poll(&watched, 1, -1) < 0 && errno != EINTR) return fail_errno("waiting for the exec");
    if (watched.revents == 0) continue;
    const auto message = TRY(hear(answers.get()));
    if (!message) return {};
    if (message->word == Word::kError) return Failure(Error{message->kind, static_cast<int>(message->number), message->text});
  }
}

}  // namespace clawrun::container
