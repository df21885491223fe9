#include "gateway/http_relay.h"

#include <sys/socket.h>

#include <cerrno>

namespace clawrun::gateway {

namespace {

using Moved = Stream::Moved;

constexpr std::size_t kBufferBytes = 16384;
constexpr int kTurns = 32;

class PlainStream final : public Stream {
 public:
  explicit PlainStream(int socket) : socket_(socket) {}
  Moved read(char* to, std::size_t size) override { return moved(recv(socket_, to, size, MSG_DONTWAIT)); }
  Moved write(const char* from, std::size_t size) override {
    return moved(send(socket_, from, size, MSG_DONTWAIT | MSG_NOSIGNAL));
  }
  void end_writing() override { (void)shutdown(socket_, SHUT_WR); }

 private:
  static Moved moved(ssize_t size) {
    if (size > 0) return {Moved::State::kSome, static_cast<std::size_t>(size)};
    if (size == 0) return {Moved::State::kEnd};
    return {errno == EAGAIN || errno == EINTR ? Moved::State::kLater : Moved::State::kFailed};
  }
  int socket_;
};

}  // namespace

std::unique_ptr<Stream> plain_stream(int socket) {
  return std::make_unique<PlainStream>(socket);
}

HttpRelay::HttpRelay(Ends ends, Meter& meter, HttpRewriter::To to)
    : ends_(std::move(ends)), meter_(meter), rewriter_(std::move(to)) {}

HttpRelay::Step HttpRelay::fail_with(const Stream& stream) {
  problem = stream.problem();
  return Step::kFailed;
}

HttpRelay::Step HttpRelay::read_requests(Handler& connection) {
  if (!up_.empty() || rewriter_.is_done()) return Step::kStuck;
  if (in_.empty()) {
    if (client_has_ended_) return Step::kStuck;
    const std::size_t allowed = meter_.allow(kBufferBytes, connection);
    if (allowed == 0) return Step::kStuck;
    in_.resize(allowed);
    const Moved moved = ends_.client->read(in_.data(), in_.size());
    in_.resize(moved.size);
    if (moved.state == Moved::State::kFailed) return fail_with(*ends_.client);
    if (moved.state == Moved::State::kLater) return Step::kStuck;
    if (moved.state == Moved::State::kEnd) {
      client_has_ended_ = true;
      if (rewriter_.is_between_requests()) return Step::kMoved;
      problem = "the client ended within a request";
      return Step::kFailed;
    }
    meter_.moved(moved.size);
  }
  const std::size_t used = rewriter_.feed(in_, up_);
  if (!rewriter_.problem().empty()) {
    problem = rewriter_.problem();
    return Step::kFailed;
  }
  in_.erase(0, used);
  return Step::kMoved;
}

HttpRelay::Step HttpRelay::flush(Stream& stream, std::string& bytes, std::uint64_t& count) {
  if (bytes.empty()) return Step::kStuck;
  const Moved moved = stream.write(bytes.data(), bytes.size());
  if (moved.state == Moved::State::kFailed) return fail_with(stream);
  if (moved.state != Moved::State::kSome) return Step::kStuck;
  bytes.erase(0, moved.size);
  count += moved.size;
  return Step::kMoved;
}

HttpRelay::Step HttpRelay::write_requests() {
  const bool is_last = client_has_ended_ && up_.empty() && in_.empty();
  if (is_last && !is_shut_up_) {
    ends_.server->end_writing();
    is_shut_up_ = true;
  }
  return flush(*ends_.server, up_, bytes_up);
}

HttpRelay::Step HttpRelay::read_responses(Handler& connection) {
  if (!down_.empty() || server_has_ended_) return Step::kStuck;
  const std::size_t allowed = meter_.allow(kBufferBytes, connection);
  if (allowed == 0) return Step::kStuck;
  down_.resize(allowed);
  const Moved moved = ends_.server->read(down_.data(), down_.size());
  down_.resize(moved.size);
  if (moved.state == Moved::State::kFailed) return fail_with(*ends_.server);
  if (moved.state == Moved::State::kLater) return Step::kStuck;
  server_has_ended_ = moved.state == Moved::State::kEnd;
  meter_.moved(moved.size);
  return Step::kMoved;
}

HttpRelay::Step HttpRelay::write_responses() {
  return flush(*ends_.client, down_, bytes_down);
}

Relay::Progress HttpRelay::pump(Handler& connection) {
  for (int turn = 0; turn < kTurns; ++turn) {
    // Every one is tried each time: a TLS end may have to read in order to write.
    const Step steps[] = {read_requests(connection), write_requests(), read_responses(connection), write_responses()};
    bool moved = false;
    for (const Step step : steps) {
      if (step == Step::kFailed) return Progress::kFailed;
      moved = moved || step == Step::kMoved;
    }
    if (server_has_ended_ && down_.empty()) {
      ends_.client->end_writing();
      // Closing a socket that holds unread bytes resets it, and what the client has not read yet is lost.
      char unread[4096];
      for (int i = 0; i < kTurns && ends_.client->read(unread, sizeof unread).state == Moved::State::kSome; ++i) continue;
      return Progress::kDone;
    }
    if (!moved) return Progress::kWait;
  }
  return Progress::kMore;
}

}  // namespace clawrun::gateway
