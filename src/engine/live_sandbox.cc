#include "engine/live_sandbox.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>

#include <algorithm>
#include <climits>
#include <csignal>
#include <mutex>

#include "launch/launch.h"
#include "supervise/supervise.h"
#include "sys/sys.h"
#include "tables/signals.h"

namespace clawrun::engine {

namespace {

// How many records of others a start looks at for sandboxes whose supervisor died.
constexpr std::size_t kSweptAtOnce = 16;

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
  if (plan.streams[0] == plan::Stream::kTerminal)
    for (const StreamChoice& choice : options.streams) TRY(check_terminal(choice));
  Streams streams = TRY(choose_streams(options.streams, plan.max_output_bytes.value_or(UINT64_MAX)));
  launch::StartOptions start{.wants_files = options.wants_files, .outlives_thread = options.outlives_thread};
  std::ranges::copy(streams.starts, start.streams);
  supervise::Options supervised{plan.timeout, plan.grace, options.signals, options.read_usage, {}, {}};
  if (plan.gateway) supervised.uplink = TRY(network::Uplink::open(plan, id, options.say));
  // Before the cgroup is made, so that whatever ends us leaves word of it.
  Registration registration = TRY(Registration::open(plan, id, started_at));
  launch::Sandbox sandbox = TRY(launch::start(plan, id, start));
  // The command runs meanwhile, on another processor where there is one.
  registration.note_started(sandbox);
  LiveSandbox live = TRY(take_over({.id = id,
                                    .registration = std::move(registration),
                                    .sandbox = std::move(sandbox),
                                    .streams = std::move(streams),
                                    .supervised = std::move(supervised),
                                    .started_at = started_at}));
  state::sweep(kSweptAtOnce);
  return live;
}

Result<LiveSandbox> LiveSandbox::take_over(Started started) {
  std::ranges::move(started.streams.uses, started.supervised.streams);
  auto state =
      std::make_unique<State>(std::move(started.registration), supervise::Supervision(std::move(started.supervised)));
  TRY(state->supervision.begin(std::move(started.sandbox)));
  std::ranges::move(started.streams.reader_ends, state->reader_ends);
  state->supervision.outcome().started_at = started.started_at;
  state->supervision.outcome().id = started.id;
  state->id = std::move(started.id);
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
