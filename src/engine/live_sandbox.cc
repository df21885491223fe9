#include "engine/live_sandbox.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>

#include <algorithm>
#include <climits>
#include <csignal>
#include <mutex>

#include "engine/registration.h"
#include "launch/launch.h"
#include "supervise/supervise.h"
#include "sys/sys.h"
#include "tables/signals.h"

namespace clawrun::engine {

namespace {

// How many records of others a start looks at for sandboxes whose supervisor died.
constexpr std::size_t kSweptAtOnce = 16;

using Kind = StreamChoice::Kind;
using supervise::StreamUse;

// What a stream is to the start and to the supervision, and for a limited pipe the end that its reader gets.
struct Streams {
  launch::StartOptions start;
  StreamUse uses[3];
  UniqueFd reader_ends[3];
};

// A directory as a stream would be a way to the host's files: openat(2) below it needs no path (CVE-2024-21626).
Result<> check_descriptor(int fd) {
  struct stat info {};
  if (::fstat(fd, &info) != 0) return fail_errno("taking descriptor " + std::to_string(fd) + " as a standard stream");
  if (S_ISDIR(info.st_mode))
    return fail(ErrorKind::kInvalid,
                "descriptor " + std::to_string(fd) +
                    " is a directory of the host, which is no standard stream: bind it with the setting bind");
  return {};
}

// A limited output is copied: through a pipe to where it would have gone by itself.
Result<> limit_output(Streams& streams, int stream, const StreamChoice& choice, std::uint64_t limit_bytes) {
  launch::Stream& start = streams.start.streams[stream];
  StreamUse& use = streams.uses[stream];
  use.limit_bytes = limit_bytes;
  if (choice.kind == Kind::kDescriptor) {
    use.target.reset(::fcntl(choice.fd, F_DUPFD_CLOEXEC, 3));
    if (!use.target.valid()) return fail_errno("taking descriptor " + std::to_string(choice.fd) + " as a standard stream");
  } else {
    sys::Ends ends = TRY(sys::pipe());
    ::fcntl(ends.first.get(), F_SETFL, O_NONBLOCK);
    ::fcntl(ends.second.get(), F_SETFL, O_NONBLOCK);
    streams.reader_ends[stream] = std::move(ends.first);
    use.target = std::move(ends.second);
  }
  use.kind = StreamUse::Kind::kCopy;
  start = {launch::Stream::Kind::kPipe};
  return {};
}

Result<> choose(Streams& streams, int stream, const StreamChoice& choice, std::uint64_t limit_bytes) {
  launch::Stream& start = streams.start.streams[stream];
  StreamUse& use = streams.uses[stream];
  switch (choice.kind) {
    case Kind::kInherit:
      use.limit_bytes = limit_bytes;
      return {};
    case Kind::kNull:
      start.kind = launch::Stream::Kind::kNull;
      return {};
    case Kind::kCapture:
      if (stream == 0) return fail(ErrorKind::kInvalid, "standard input is no output: it cannot be captured");
      start.kind = launch::Stream::Kind::kPipe;
      use.kind = StreamUse::Kind::kCapture;
      use.limit_bytes = limit_bytes == UINT64_MAX ? kDefaultCaptureBytes : limit_bytes;
      return {};
    case Kind::kPipe:
      if (stream != 0 && limit_bytes != UINT64_MAX) return limit_output(streams, stream, choice, limit_bytes);
      start.kind = launch::Stream::Kind::kPipe;
      use.kind = StreamUse::Kind::kForeign;
      return {};
    case Kind::kDescriptor:
      TRY(check_descriptor(choice.fd));
      if (stream != 0 && limit_bytes != UINT64_MAX) return limit_output(streams, stream, choice, limit_bytes);
      start = {launch::Stream::Kind::kDescriptor, choice.fd};
      return {};
  }
  return fail(ErrorKind::kInternal, "a stream of no kind");
}

Result<Streams> choose_streams(const plan::Plan& plan, const SpawnOptions& options) {
  Streams streams;
  streams.start.wants_files = options.wants_files;
  streams.start.outlives_thread = options.outlives_thread;
  for (int stream = 0; stream < 3; ++stream) {
    const StreamChoice& choice = options.streams[stream];
    if (plan.streams[0] == plan::Stream::kTerminal && choice.kind != Kind::kInherit)
      return fail(ErrorKind::kInvalid, "with the setting tty the standard streams are a terminal: they can only be inherited");
    TRY(choose(streams, stream, choice, plan.max_output_bytes.value_or(UINT64_MAX)));
  }
  return streams;
}

}  // namespace

struct LiveSandbox::State {
  State(Registration opened, supervise::Supervision prepared)
      : registration(std::move(opened)), supervision(std::move(prepared)) {}

  ~State() {
    if (has_ended) return;
    supervision.sandbox().end();
    if (!supervision.sandbox().group.end()) registration.leave();
  }
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  std::string id;
  Registration registration;
  supervise::Supervision supervision;
  UniqueFd reader_ends[3];
  bool has_ended = false;
  std::mutex mutex;  // kill() beside process()
};

LiveSandbox::LiveSandbox(std::unique_ptr<State> state) : state_(std::move(state)) {}
LiveSandbox::LiveSandbox(LiveSandbox&& other) noexcept = default;
LiveSandbox& LiveSandbox::operator=(LiveSandbox&& other) noexcept = default;
LiveSandbox::~LiveSandbox() = default;

Result<LiveSandbox> LiveSandbox::spawn(const plan::Plan& plan, const SpawnOptions& options) {
  const auto started_at = std::chrono::system_clock::now();
  const std::string id = plan.name.empty() ? new_id() : plan.name;
  Streams streams = TRY(choose_streams(plan, options));
  supervise::Options supervised{plan.timeout, plan.grace, options.signals, options.read_usage, {}};
  std::ranges::move(streams.uses, supervised.streams);
  // Before the cgroup is made, so that whatever ends us leaves word of it.
  Registration registration = TRY(Registration::open(plan, id, started_at));
  auto state = std::make_unique<State>(std::move(registration), supervise::Supervision(std::move(supervised)));
  launch::Sandbox sandbox = TRY(launch::start(plan, id, streams.start));
  // The command runs meanwhile, on another processor where there is one.
  state->registration.note_started(sandbox);
  TRY(state->supervision.begin(std::move(sandbox)));
  state::sweep(kSweptAtOnce);
  state->id = id;
  std::ranges::move(streams.reader_ends, state->reader_ends);
  state->supervision.outcome().started_at = started_at;
  state->supervision.outcome().id = id;
  return LiveSandbox(std::move(state));
}

const std::string& LiveSandbox::id() const {
  return state_->id;
}

int LiveSandbox::fd() const {
  return state_->supervision.fd();
}

int LiveSandbox::pidfd() const {
  return state_->has_ended ? -1 : state_->supervision.sandbox().pidfd.get();
}

int LiveSandbox::stream(int stream) const {
  if (stream < 0 || stream > 2) return -1;
  if (state_->reader_ends[stream].valid()) return state_->reader_ends[stream].get();
  return state_->supervision.is_foreign(stream) ? state_->supervision.sandbox().stream[stream].get() : -1;
}

UniqueFd LiveSandbox::take_stream(int stream) {
  if (this->stream(stream) < 0) return {};
  if (state_->reader_ends[stream].valid()) return std::move(state_->reader_ends[stream]);
  return std::move(state_->supervision.sandbox().stream[stream]);
}

bool LiveSandbox::process() {
  const std::lock_guard lock(state_->mutex);
  if (state_->has_ended || !state_->supervision.step()) return state_->has_ended;
  state_->has_ended = true;
  // Its writing end: a reader of a limited pipe is to see the end.
  state_->supervision.close_copies();
  if (state_->supervision.sandbox().group.end())
    state_->registration.remove();
  else
    state_->registration.leave();
  return true;
}

Result<bool> LiveSandbox::wait(std::chrono::milliseconds at_most) {
  const std::uint64_t begun_ns = sys::monotonic_ns();
  while (!state_->has_ended) {
    int left_ms = -1;
    if (at_most.count() >= 0) {
      const auto spent_ms = static_cast<std::int64_t>((sys::monotonic_ns() - begun_ns) / 1'000'000);
      left_ms = static_cast<int>(std::clamp<std::int64_t>(at_most.count() - spent_ms, 0, INT_MAX));
    }
    pollfd watched{fd(), POLLIN, 0};
    const int ready = ::poll(&watched, 1, left_ms);
    if (ready < 0 && errno != EINTR) return fail_errno("waiting for the sandbox");
    if (ready == 0 && left_ms != INT_MAX) return false;
    if (ready > 0) process();
  }
  return true;
}

Result<> LiveSandbox::kill(int signal) {
  if (signal != SIGKILL && !supervise::is_forwarded(signal))
    return fail(ErrorKind::kInvalid, "signal " + std::to_string(signal) +
                                         " is not passed on: KILL ends the sandbox, and TERM, INT, HUP, QUIT, USR1, USR2 and "
                                         "WINCH go to the command");
  const std::lock_guard lock(state_->mutex);
  state_->supervision.send(signal);
  return {};
}

bool LiveSandbox::has_ended() const {
  return state_->has_ended;
}

const spec::Outcome& LiveSandbox::outcome() const {
  return state_->supervision.outcome();
}

std::string_view LiveSandbox::output(int stream) const {
  return stream == 1 || stream == 2 ? state_->supervision.captured(stream) : std::string_view();
}

std::uint64_t LiveSandbox::lost_bytes(int stream) const {
  return stream == 1 || stream == 2 ? state_->supervision.lost_bytes(stream) : 0;
}

const launch::WorkFiles& LiveSandbox::files() const {
  return state_->supervision.sandbox().files;
}

}  // namespace clawrun::engine
