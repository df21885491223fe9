#include "launch/launch.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <map>
#include <tuple>

#include "base/text.h"
#include "child/clone.h"
#include "host/explain.h"
#include "init/image.h"
#include "launch/flatten.h"
#include "launch/ids.h"
#include "launch/parked.h"
#include "launch/shared_memory.h"
#include "launch/steps.h"
#include "seccomp/program.h"
#include "spec/spec.h"
#include "sys/sys.h"

namespace clawrun::launch {

namespace {

constexpr std::size_t kStackBytes = 64 << 10U;
constexpr std::size_t kGuardBytes = 16 << 10U;

// Two stacks for the child, each with a guard below it.
class Stacks {
 public:
  Result<> map() {
    base_ = ::mmap(nullptr, kTotal, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (base_ == MAP_FAILED) return fail_errno("mapping a stack");
    for (int i = 0; i < 2; ++i)
      if (::mprotect(at(i) - kStackBytes, kStackBytes, PROT_READ | PROT_WRITE) != 0) return fail_errno("mapping a stack");
    return {};
  }
  Stacks() = default;
  Stacks(const Stacks&) = delete;
  Stacks& operator=(const Stacks&) = delete;
  ~Stacks() {
    if (base_ != MAP_FAILED) ::munmap(base_, kTotal);
  }
  // The high end of a stack.
  [[nodiscard]] char* at(int index) const {
    return static_cast<char*>(base_) + (kStackBytes + kGuardBytes) * static_cast<std::size_t>(index + 1);
  }

 private:
  static constexpr std::size_t kTotal = 2 * (kStackBytes + kGuardBytes);
  void* base_ = MAP_FAILED;
};

// This thread in another network namespace, for as long as the clone takes.
class NetworkVisit {
 public:
  NetworkVisit() = default;
  NetworkVisit(const NetworkVisit&) = delete;
  NetworkVisit& operator=(const NetworkVisit&) = delete;
  ~NetworkVisit() { (void)leave(); }

  Result<> enter(const std::string& path) {
    const UniqueFd there = TRY(sys::open(path, O_RDONLY));
    own_ = TRY(sys::open("/proc/thread-self/ns/net", O_RDONLY));
    if (::setns(there.get(), CLONE_NEWNET) == 0) return {};
    own_.reset();
    return fail_errno("joining the network namespace " + shown(path));
  }

  // In the wrong namespace nothing may go on as if it were the right one.
  Result<> leave() {
    if (own_.valid() && ::setns(own_.get(), CLONE_NEWNET) != 0)
      return fail_errno("going back to clawrun's own network namespace");
    own_.reset();
    return {};
  }

 private:
  UniqueFd own_;
};

class Launcher {
 public:
  Launcher(const plan::Plan& plan, const std::string& id, const StartOptions& options)
      : plan_(plan), id_(id), options_(options), timeout_(plan.timeout), flat_(plan) {}

  Result<Sandbox> run() {
    TRY(prepare());
    TRY(guarded([&] { return start(); }));
    note_stages();
    return std::move(sandbox_);
  }

  Result<> park(child::Park where) {
    flat_.child.park = where;
    flat_.child.claimed_workspace = spec::kWorkspace;
    TRY(prepare());
    return guarded([&]() -> Result<> {
      TRY(begin());
      TRY(await_parked());
      TRY(receive_sent());
      sandbox_.mounts = TRY(sys::receive_descriptor(sandbox_.control.get()));
      return {};
    });
  }

  Result<> wake(Claim claim) {
    claim_ = std::move(claim);
    timeout_ = claim_.timeout;
    sandbox_.started_ns = sys::monotonic_ns();
    sandbox_.stages_us.clear();
    std::ranges::copy(claim_.streams, options_.streams);
    TRY(prepare_streams());
    flat_.set_command(claim_.candidates, claim_.argv, claim_.environment);
    std::vector<int> brought;
    for (int i = 0; i < 3; ++i) {
      // One that is not open would shift the others.
      if (!far_stream_[i].valid() && ::fcntl(i, F_GETFD) < 0) far_stream_[i] = TRY(sys::open("/dev/null", O_RDWR));
      brought.push_back(far_stream_[i].valid() ? far_stream_[i].get() : i);
    }
    if (plan_.give_pipes) give_pipes();
    if (claim_.workspace.valid()) brought.push_back(claim_.workspace.get());
    if (timeout_.count() > 0 && sandbox_.deadline.valid())
      sys::set_timer(sandbox_.deadline.get(), timeout_ + claim_.grace + kDeadlineSlack);
    if (!sys::send_descriptors(report_.get(), brought, "c")) return died();
    for (UniqueFd& fd : far_stream_) fd.reset();
    return {};
  }

  Result<Sandbox> executed() {
    TRY(await_exec());
    if (claim_.workspace.valid()) {
      // Another directory than before is where the command starts.
      UniqueFd directory = TRY(sys::receive_descriptor(sandbox_.control.get()));
      sandbox_.files = WorkFiles(std::move(directory), user_);
    }
    note("exec");
    return std::move(sandbox_);
  }

  [[nodiscard]] Sandbox& sandbox() { return sandbox_; }
  [[nodiscard]] const HostIds& ids() const { return ids_; }

 private:
  template <typename Work>
  Result<> guarded(Work work) {
    const SharedMemoryGuard guard;
    Result<> done = work();
    if (!done) sandbox_.end();
    return done;
  }

  Result<> prepare() {
    TRY(stacks_.map());
    control_ = TRY(sys::socket_pair());
    if (plan_.init) {
      init_ = TRY(sys::executable_memfd("clawrun-init", init::image()));
      flat_.child.init_fd = init_.get();
    }
    if (plan_.has_start_cookie) {
      TRY(set_start_cookie());
    }
    if (plan_.ids.outside == plan::IdMaps::Outside::kOwn) {
      uid_map_ = as_text(plan_.ids.uids);
      gid_map_ = as_text(plan_.ids.gids);
      flat_.child.uid_map = uid_map_.c_str();
      flat_.child.gid_map = gid_map_.c_str();
    }
    TRY(prepare_streams());
    TRY(prepare_given());
    TRY(prepare_deadline());
    flat_.child.send_workdir = options_.wants_files;
    flat_.child.outlives_thread = options_.outlives_thread;
    flat_.child.control_fd = control_.second.get();
    sandbox_.init = plan_.init;
    flat_.child.command_stack_top = stacks_.at(1);
    return {};
  }

  // A fresh secret for each start: see seccomp/program.h.
  Result<> set_start_cookie() {
    std::uint64_t cookie = 0;
    if (::getrandom(&cookie, sizeof cookie, 0) != sizeof cookie) return fail_errno("drawing a random number");
    cookie_filters_.filters = plan_.filters;
    cookie_filters_.has_start_cookie = true;
    seccomp::set_start_cookie(cookie_filters_, cookie);
    for (const auto& filter : cookie_filters_.filters)
      filters_.push_back({filter.data(), static_cast<std::uint16_t>(filter.size())});
    flat_.child.filters = filters_.data();
    flat_.child.start_cookie = cookie;
    return {};
  }

  Result<> prepare_streams() {
    for (int i = 0; i < 3; ++i) {
      const Stream& stream = options_.streams[i];
      const Stream::Kind kind =
          stream.kind == Stream::Kind::kPlanned && plan_.streams[i] == plan::Stream::kPipe ? Stream::Kind::kPipe : stream.kind;
      if (kind == Stream::Kind::kPlanned) continue;
      if (kind != Stream::Kind::kPipe) {
        far_stream_[i] = TRY(kind == Stream::Kind::kNull ? sys::open("/dev/null", O_RDWR) : duplicate(stream.fd));
        flat_.child.stdio[i] = far_stream_[i].get();
        continue;
      }
      sys::Ends ends = TRY(sys::pipe());
      // Our end is an open file of its own, so this concerns nobody else: the supervisor must never block on it.
      ::fcntl((i == 0 ? ends.second : ends.first).get(), F_SETFL, O_NONBLOCK);
      sandbox_.stream[i] = i == 0 ? std::move(ends.second) : std::move(ends.first);
      far_stream_[i] = i == 0 ? std::move(ends.first) : std::move(ends.second);
      flat_.child.stdio[i] = far_stream_[i].get();
    }
    return {};
  }

  // Above stdio, so that placing one stream cannot overwrite what another is made of.
  static Result<UniqueFd> duplicate(int fd) {
    UniqueFd copy(::fcntl(fd, F_DUPFD_CLOEXEC, 3));
    if (!copy.valid()) return fail_errno("taking descriptor " + std::to_string(fd) + " as a standard stream");
    return copy;
  }

  Result<> prepare_given() {
    for (int i = 0; i < 2; ++i) {
      if (options_.given[i] < 0) continue;
      far_given_[i].reset(::fcntl(options_.given[i], F_DUPFD_CLOEXEC, child::kLastGiven + 1));
      if (!far_given_[i].valid()) return fail_errno("passing on descriptor " + std::to_string(options_.given[i]));
      flat_.child.given[i] = far_given_[i].get();
    }
    return {};
  }

  Result<> prepare_deadline() {
    if (!plan_.init || (plan_.timeout.count() == 0 && !options_.late_deadline)) return {};
    const std::chrono::milliseconds time = plan_.timeout + plan_.grace + kDeadlineSlack;
    deadline_ = TRY(sys::timer_after(options_.late_deadline ? std::chrono::milliseconds(0) : time));
    flat_.child.deadline_fd = deadline_.get();
    return {};
  }

  // Once the id-mapped mounts are made: everything that the child must not close.
  void list_descriptors() {
    keep_ = {control_.second.get()};
    if (init_.valid()) keep_.push_back(init_.get());
    if (deadline_.valid()) keep_.push_back(deadline_.get());
    for (const UniqueFd& given : far_given_)
      if (given.valid()) keep_.push_back(given.get());
    for (const int fd : plan_.preserve_fds) keep_.push_back(fd);
    for (const UniqueFd& mount : mounts_) keep_.push_back(mount.get());
    for (const int fd : join_fds_) keep_.push_back(fd);
    std::ranges::sort(keep_);
    flat_.child.keep_fd_count = keep_.size();
    keep_.push_back(-1);  // room for the child's report
    flat_.child.keep_fds = keep_.data();
  }

  // Sources that only the caller's own rights can open. Those that are id-mapped need the ids, which need the pid: they are
  // opened before the clone and mapped after it, and the child, whose descriptors are a copy, waits at the gate meanwhile.
  Result<> open_mounts() {
    for (std::size_t i = 0; i < plan_.operations.size(); ++i) {
      const plan::Operation& op = plan_.operations[i];
      if (op.op != child::Op::kBind || !op.by_parent) continue;
      auto mount = sys::open_tree_clone(op.source, op.recursive);
      if (!mount) return while_doing("binding at " + shown("/" + op.target), mount.error());
      flat_.operations[i].fd = mount->get();
      if (op.idmap) mapped_.emplace_back(mount->get(), &op);
      mounts_.push_back(std::move(*mount));
    }
    return {};
  }

  Result<> open_cgroups() {
    if (sandbox_.group.empty()) return {};
    join_files_ = TRY(sandbox_.group.open_for_joining({.cloned_into = cloned_into_}));
    for (const UniqueFd& file : join_files_) join_fds_.push_back(file.get());
    flat_.child.join_fds = join_fds_.data();
    flat_.child.join_fd_count = join_fds_.size();
    return {};
  }

  Result<> map_mounts(const HostIds& ids) {
    std::map<std::tuple<std::uint32_t, std::uint32_t, bool>, UniqueFd> namespaces;
    for (const auto& [fd, op] : mapped_) {
      const plan::Ownership& owner = *op->idmap;
      UniqueFd& user_namespace = namespaces[{owner.uid, owner.gid, owner.whole_range}];
      if (!user_namespace.valid()) user_namespace = TRY(ownership_namespace(owner, plan_, ids));
      if (auto mapped = sys::set_idmap(fd, user_namespace.get(), op->recursive); !mapped) {
        Error error = std::move(mapped).error();
        error.message = "binding \"" + op->source + "\" at /" + op->target + ": " + error.message +
                        "; this file system cannot map ids (the kernel needs 5.12, and tmpfs 6.3): run clawrun as the owner of "
                        "the directory instead of root";
        return Failure(std::move(error));
      }
    }
    return {};
  }

  Result<> start() {
    TRY(begin());
    TRY(await_exec());
    return receive_sent();
  }

  Result<> begin() {
    sandbox_.started_ns = sys::monotonic_ns();
    if (plan_.cgroup) sandbox_.group = TRY(cgroup::Group::create(plan_.cgroup->place, id_, plan_.cgroup->limits));
    TRY(clone());
    // First, so that the child finds the gate open and need not wait.
    TRY(release());
    return receive_report();
  }

  // What the child sends before it executes or waits for a claim, so it is there.
  Result<> receive_sent() {
    TRY(receive_network_sockets());
    if (plan_.streams[0] == plan::Stream::kTerminal) {
      sandbox_.terminal = TRY(sys::receive_descriptor(control_.first.get()));
      // POLLOUT of a terminal promises one byte, not a chunk: our end must never block the supervisor.
      ::fcntl(sandbox_.terminal.get(), F_SETFL, O_RDWR | O_NONBLOCK);
    }
    if (options_.wants_files) {
      UniqueFd directory = TRY(sys::receive_descriptor(control_.first.get()));
      sandbox_.files = WorkFiles(std::move(directory), user_);
    }
    sandbox_.control = std::move(control_.first);
    return {};
  }

  // Sent by whoever made the network namespace, before the command's process went on in it, so they are there.
  Result<> receive_network_sockets() {
    if (!plan_.new_network) return {};
    const auto sent = std::ranges::count_if(plan_.new_network->requests, &plan::NetlinkRequests::send_out);
    for (std::size_t left = static_cast<std::size_t>(sent) + plan_.new_network->listeners.size(); left > 0; --left) {
      UniqueFd socket = TRY(sys::receive_descriptor(control_.first.get()));
      sandbox_.network_sockets.push_back(std::move(socket));
    }
    return {};
  }

  Result<> clone() {
    TRY(open_mounts());
    cloned_into_ = plan_.has_clone_into_cgroup && sandbox_.group.clone_fd() >= 0;
    TRY(open_cgroups());
    list_descriptors();
    // Here and not in the child, whose user namespace has no power over a network namespace of others: setns(2).
    NetworkVisit visit;
    if (!plan_.network_namespace.empty()) TRY(visit.enter(plan_.network_namespace));
    int pidfd = -1;
    long pid = -ENOSYS;
    const std::uint64_t flags = (plan_.clone_flags & ~static_cast<std::uint64_t>(CLONE_NEWCGROUP)) | CLONE_VM | CLONE_PIDFD;
    flat_.child.wait_at_gate = sandbox_.group.needs_attach();
    sandbox_.init_lingers = plan_.init && sandbox_.group.needs_attach();
    flat_.child.init_lingers = sandbox_.init_lingers;
    if (plan_.has_clone3) {
      clone_args args{};
      args.flags = flags | CLONE_CLEAR_SIGHAND;
      if (cloned_into_) {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = static_cast<__u64>(sandbox_.group.clone_fd());
      }
      args.pidfd = reinterpret_cast<std::uintptr_t>(&pidfd);
      args.exit_signal = SIGCHLD;
      args.stack = reinterpret_cast<std::uintptr_t>(stacks_.at(0) - kStackBytes);
      args.stack_size = kStackBytes;
      pid = clawrun_clone3(&args, sizeof args, child::child_main, &flat_.child);
    } else {
      pid = clawrun_clone(flags | SIGCHLD, stacks_.at(0), &pidfd, child::child_main, &flat_.child);
    }
    if (pid < 0) return explain_clone(static_cast<int>(-pid));
    sandbox_.pid = static_cast<pid_t>(pid);
    sandbox_.pidfd.reset(pidfd);
    TRY(visit.leave());
    note("clone");
    // Only the child's copies may be open from here on, or its end would never be seen.
    control_.second.reset();
    init_.reset();
    if (options_.late_deadline) sandbox_.deadline = std::move(deadline_);
    deadline_.reset();
    join_files_.clear();
    for (UniqueFd& fd : far_stream_) fd.reset();
    for (UniqueFd& fd : far_given_) fd.reset();
    return {};
  }

  Failure explain_clone(int error) const {
    // clone(2), CLONE_INTO_CGROUP; the namespaces know neither of the two.
    if (cloned_into_ && (error == EBUSY || error == EOPNOTSUPP || error == EACCES || error == ENODEV || error == ENOENT))
      return fail_errno("starting the sandbox in the cgroup " + sandbox_.group.location().v2.path +
                            (error == EACCES   ? " (the group above both it and clawrun must be this user's)"
                             : error == ENOENT ? " (somebody removed it just now)"
                                               : ""),
                        error);
    Failure failure = fail_errno("making the sandbox's namespaces", error);
    if (const std::string why = host::explain_userns_failure(error); !why.empty())
      return while_doing(failure.error().message, Error{failure.error().kind, error, why});
    return failure;
  }

  Result<> release() {
    if (!sandbox_.group.empty()) {
      if (flat_.child.wait_at_gate) TRY(sandbox_.group.attach(sandbox_.pid));
      note("cgroup");
    }
    if (plan_.ids.outside == plan::IdMaps::Outside::kOwn) return flat_.child.wait_at_gate ? open_gate() : Result<>();
    ids_ = TRY(choose_ids(plan_.ids, sandbox_.pid));
    if (auto written = write_maps(plan_.ids, ids_, sandbox_.pid); !written)
      return while_doing("mapping the sandbox's ids", written.error());
    TRY(map_mounts(ids_));
    const plan::Ownership owner = host_owner(plan_, ids_);
    if (plan_.change_identity) user_ = {owner.uid, owner.gid};
    if (plan_.give_pipes) give_pipes();
    sandbox_.id_block = std::move(ids_.block);
    note("id_maps");
    return open_gate();
  }

  Result<> open_gate() {
    if (::send(control_.first.get(), "g", 1, MSG_NOSIGNAL) != 1) return fail_errno("opening the gate");
    return {};
  }

  // Only pipes: a file or a terminal keeps its owner. The group, and one direction: an owner could give itself the other one,
  // and write what the caller's shell reads next. Best effort, for convenience alone: what cannot be given is still open.
  void give_pipes() {
    if (ids_.gids.empty()) return;
    const gid_t group = host_owner(plan_, ids_).gid;
    for (int fd = 0; fd < 3; ++fd) {
      const Stream::Kind kind = options_.streams[fd].kind;
      if (kind == Stream::Kind::kNull || kind == Stream::Kind::kDescriptor) continue;
      struct statfs info {};
      const int pipe = sandbox_.stream[fd].valid() ? sandbox_.stream[fd].get() : fd;
      if (::fstatfs(pipe, &info) != 0 || info.f_type != PIPEFS_MAGIC) continue;
      if (::fchown(pipe, static_cast<uid_t>(-1), group) == 0) (void)!::fchmod(pipe, fd == 0 ? 0640 : 0620);
    }
  }

  // Until `fd` has one of `events` or is hung up, or the child is dead and will write no more. A set-up that hangs, on a file
  // system that does not answer, is ended by --timeout like a command.
  Result<> wait_for(int fd, short events) const {
    for (;;) {
      pollfd watched[2] = {{fd, events, 0}, {sandbox_.pidfd.get(), POLLIN, 0}};
      int left_ms = -1;
      if (timeout_.count() > 0) {
        const auto spent_ms = static_cast<std::int64_t>((sys::monotonic_ns() - sandbox_.started_ns) / 1'000'000);
        left_ms = static_cast<int>(std::clamp<std::int64_t>(timeout_.count() - spent_ms, 0, INT32_MAX));
      }
      const int ready = ::poll(watched, 2, left_ms);
      if (ready > 0) return {};
      if (ready == 0 && left_ms != INT32_MAX) return fail(ErrorKind::kSystem, "the set-up was not done within --timeout");
      if (ready < 0 && errno != EINTR) return fail_errno("waiting for the child");
    }
  }

  static Failure died() {
    return fail(ErrorKind::kSystem,
                "the sandbox's first process died while it was being set up (was it killed, or out of memory?)");
  }

  Result<> receive_report() {
    TRY(wait_for(control_.first.get(), POLLIN));
    auto received = sys::receive_descriptor(control_.first.get());
    if (!received) return died();
    report_ = std::move(*received);
    return {};
  }

  Result<> await_parked() {
    TRY(wait_for(report_.get(), POLLIN));
    child::Report report;
    ssize_t size = 0;
    while ((size = ::read(report_.get(), &report, sizeof report)) < 0 && errno == EINTR) {
    }
    if (size != sizeof report) return died();
    if (report.step != child::Step::kParked) return Failure(describe(plan_, report));
    return {};
  }

  // The words are about the command of the claim, where there is one.
  [[nodiscard]] Error described(const child::Report& report) const {
    if (claim_.argv.empty()) return describe(plan_, report);
    plan::Plan claimed = plan_;
    claimed.argv = claim_.argv;
    claimed.candidates = claim_.candidates;
    return describe(claimed, report);
  }

  // `ready` and then end of file, by close-on-exec, is success. A bare end of file is a death.
  Result<> await_exec() {
    // Not for what is written: waking up for `ready` would only take the processor from the one that executes the command.
    TRY(wait_for(report_.get(), 0));
    bool ready = false;
    for (;;) {
      child::Report report;
      const ssize_t size = ::read(report_.get(), &report, sizeof report);
      if (size < 0 && errno == EINTR) continue;
      if (size < 0) return fail_errno("reading the child's report");
      if (size == 0) break;
      if (size != sizeof report) return fail(ErrorKind::kInternal, "a report of the child is cut off");
      if (report.step != child::Step::kReady) return Failure(described(report));
      ready = true;
    }
    if (!ready) return died();
    return {};
  }

  void note(const char* stage) { sandbox_.stages_us.emplace_back(stage, (sys::monotonic_ns() - sandbox_.started_ns) / 1000); }

  // Each stage by the moment of its end, since the clone; what the child stored is read only now, after its end of file.
  void note_stages() {
    constexpr std::pair<child::Stage, const char*> kNames[] = {{child::Stage::kReleased, "released"},
                                                               {child::Stage::kMounted, "mounts"},
                                                               {child::Stage::kPivoted, "pivot_root"},
                                                               {child::Stage::kConfined, "confinement"}};
    for (const auto& [stage, name] : kNames) {
      const std::uint64_t at = flat_.stages_ns[static_cast<std::size_t>(stage)];
      sandbox_.stages_us.emplace_back(name, at > sandbox_.started_ns ? (at - sandbox_.started_ns) / 1000 : 0);
    }
    note("exec");
  }

  const plan::Plan& plan_;
  const std::string& id_;
  StartOptions options_;
  std::chrono::milliseconds timeout_;  // for the set-up, or of a claim
  FlatPlan flat_;
  bool cloned_into_ = false;
  Stacks stacks_;
  UniqueFd report_;
  sys::Ends control_;
  UniqueFd init_;
  UniqueFd deadline_;
  UniqueFd far_stream_[3];
  UniqueFd far_given_[2];
  HostIds ids_;
  Claim claim_;
  std::optional<WorkFiles::User> user_;
  std::vector<UniqueFd> mounts_;
  std::vector<std::pair<int, const plan::Operation*>> mapped_;
  std::vector<UniqueFd> join_files_;
  std::vector<int> join_fds_;
  std::vector<int> keep_;
  std::string uid_map_;
  std::string gid_map_;
  seccomp::Compiled cookie_filters_;
  std::vector<child::Filter> filters_;
  Sandbox sandbox_;  // the last: when an exception ends us, it is dead before any memory that it shares is gone
};

}  // namespace

struct Parked::State {
  State(std::shared_ptr<const plan::Plan> of, std::string with_id, const StartOptions& options)
      : plan(std::move(of)), id(std::move(with_id)), launcher(*plan, id, options) {}
  std::shared_ptr<const plan::Plan> plan;
  std::string id;
  Launcher launcher;
};

Parked::Parked(std::unique_ptr<State> state) : state_(std::move(state)) {}
Parked::Parked(Parked&& other) noexcept = default;
Parked& Parked::operator=(Parked&& other) noexcept = default;
Parked::~Parked() = default;

Result<Parked> Parked::make(std::shared_ptr<const plan::Plan> plan, const std::string& id, child::Park where) {
  constexpr Stream kNothing{Stream::Kind::kNull, -1};
  const StartOptions options{
      .streams = {kNothing, kNothing, kNothing}, .wants_files = true, .outlives_thread = true, .late_deadline = true};
  auto state = std::make_unique<State>(std::move(plan), id, options);
  TRY(state->launcher.park(where));
  return Parked(std::move(state));
}

Result<UniqueFd> Parked::ownership_namespace(const plan::Ownership& owner) const {
  return launch::ownership_namespace(owner, *state_->plan, state_->launcher.ids());
}

Sandbox& Parked::sandbox() const {
  return state_->launcher.sandbox();
}

Result<> Parked::wake(Claim claim) {
  return state_->launcher.wake(std::move(claim));
}

Result<Sandbox> Parked::executed() {
  return state_->launcher.executed();
}

Sandbox& Sandbox::operator=(Sandbox&& other) noexcept {
  if (this == &other) return *this;
  end();
  pid = std::exchange(other.pid, -1);
  pidfd = std::move(other.pidfd);
  control = std::move(other.control);
  terminal = std::move(other.terminal);
  deadline = std::move(other.deadline);
  mounts = std::move(other.mounts);
  for (std::size_t i = 0; i < 3; ++i) stream[i] = std::move(other.stream[i]);
  network_sockets = std::move(other.network_sockets);
  id_block = std::move(other.id_block);
  files = std::move(other.files);
  group = std::move(other.group);
  init = other.init;
  init_lingers = other.init_lingers;
  started_ns = other.started_ns;
  stages_us = std::move(other.stages_us);
  return *this;
}

void Sandbox::end() {
  if (pid > 0) {
    sys::send_signal(pidfd.get(), pid, SIGKILL);
    (void)sys::reap(pidfd.get(), pid);
    pid = -1;
  }
  (void)group.end();
}

Result<Sandbox> start(const plan::Plan& plan, const std::string& id, const StartOptions& options) {
  return Launcher(plan, id, options).run();
}

}  // namespace clawrun::launch
