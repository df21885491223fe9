#include "gateway/relay.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <utility>

namespace clawrun::gateway {

namespace {
constexpr std::size_t kPipeBytes = std::size_t{1024} << 10U;
constexpr std::size_t kMostSpare = 64;
constexpr int kTurns = 16;  // of filling and draining, before others are served
constexpr unsigned kSplice = SPLICE_F_NONBLOCK | SPLICE_F_MOVE;
}  // namespace

PipePool::Pipe PipePool::take() {
  if (!spare_.empty()) {
    Pipe pipe = std::move(spare_.back());
    spare_.pop_back();
    return pipe;
  }
  int ends[2];
  if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) return {};
  // Refused beyond what fs.pipe-user-pages-soft leaves this user: the ordinary size will do.
  (void)fcntl(ends[1], F_SETPIPE_SZ, static_cast<int>(kPipeBytes));
  return {UniqueFd(ends[0]), UniqueFd(ends[1])};
}

void PipePool::give_back(Pipe pipe) {
  if (spare_.size() < kMostSpare) spare_.push_back(std::move(pipe));
}

SpliceRelay::SpliceRelay(Side& client, Side& server, Meter& meter, PipePool& pipes, Gate gate)
    : meter_(meter), pipes_(pipes), gate_(gate), up_{client, server, bytes_up, {}, 0, false, false}, down_{server,     client,
                                                                                                           bytes_down, {},
                                                                                                           0,          false,
                                                                                                           false} {}

SpliceRelay::~SpliceRelay() {
  rest(up_);
  rest(down_);
}

// A pipe that still holds bytes is nobody else's.
void SpliceRelay::rest(Direction& direction) {
  if (direction.held == 0 && direction.pipe.in.valid()) pipes_.give_back(std::exchange(direction.pipe, {}));
}

Relay::Progress SpliceRelay::drain(Direction& direction) {
  while (direction.held > 0) {
    if (!direction.to.is_writable) return Progress::kWait;
    const ssize_t size = splice(direction.pipe.out.get(), nullptr, direction.to.fd.get(), nullptr, direction.held, kSplice);
    if (size > 0) {
      direction.held -= static_cast<std::size_t>(size);
      direction.bytes += static_cast<std::uint64_t>(size);
    } else if (size < 0 && errno == EAGAIN) {
      direction.to.is_writable = false;
    } else if (size == 0 || errno != EINTR) {
      return Progress::kFailed;
    }
  }
  return Progress::kDone;
}

Relay::Progress SpliceRelay::fill(Direction& direction, Handler& connection) {
  if (!direction.from.is_readable) return Progress::kWait;
  if (!direction.pipe.in.valid()) direction.pipe = pipes_.take();
  if (!direction.pipe.in.valid()) {
    problem = "no descriptors are left for it";
    return Progress::kFailed;
  }
  const std::size_t allowed = meter_.allow(kPipeBytes, connection);
  if (allowed == 0) return Progress::kWait;
  const ssize_t size = splice(direction.from.fd.get(), nullptr, direction.pipe.in.get(), nullptr, allowed, kSplice);
  if (size > 0) {
    direction.held = static_cast<std::size_t>(size);
    meter_.moved(direction.held);
  } else if (size == 0) {
    direction.has_ended = true;
  } else if (errno == EAGAIN) {
    // The pipe is empty, so it is the socket that has nothing.
    direction.from.is_readable = false;
    return Progress::kWait;
  } else if (errno != EINTR) {
    return Progress::kFailed;
  }
  return Progress::kDone;
}

Relay::Progress SpliceRelay::pump(Direction& direction, Handler& connection) {
  for (int turn = 0; turn < kTurns; ++turn) {
    if (const Progress drained = drain(direction); drained != Progress::kDone) return drained;
    if (direction.has_ended) {
      if (!direction.is_shut) (void)shutdown(direction.to.fd.get(), SHUT_WR);
      direction.is_shut = true;
      return Progress::kDone;
    }
    if (&direction == &up_ && gate_ == Gate::kClosed) return Progress::kWait;
    if (const Progress filled = fill(direction, connection); filled != Progress::kDone) return filled;
  }
  return Progress::kMore;
}

Relay::Progress SpliceRelay::pump(Handler& connection) {
  const Progress up = pump(up_, connection);
  const Progress down = pump(down_, connection);
  rest(up_);
  rest(down_);
  if (up == Progress::kFailed || down == Progress::kFailed) return Progress::kFailed;
  if (up == Progress::kMore || down == Progress::kMore) return Progress::kMore;
  return up == Progress::kDone && down == Progress::kDone ? Progress::kDone : Progress::kWait;
}

}  // namespace clawrun::gateway
