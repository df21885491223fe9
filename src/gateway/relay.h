// What carries bytes between the two ends of a connection; and the plain one, which the kernel carries them for.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/unique_fd.h"
#include "gateway/limits.h"
#include "gateway/side.h"

namespace clawrun::gateway {

class Relay {
 public:
  Relay() = default;
  virtual ~Relay() = default;
  Relay(const Relay&) = delete;
  Relay& operator=(const Relay&) = delete;

  // kMore: it has had its share of this turn. kFailed: `problem` says why, "" for a reset.
  enum class Progress : std::uint8_t { kWait, kMore, kDone, kFailed };
  virtual Progress pump(Handler& connection) = 0;

  std::uint64_t bytes_up = 0;
  std::uint64_t bytes_down = 0;
  std::string problem;
};

// Pipes for splice(2): a direction has one only while it holds bytes, so that idle connections cost none.
class PipePool {
 public:
  struct Pipe {
    UniqueFd out;
    UniqueFd in;
  };
  // Invalid where no more descriptors are to be had.
  Pipe take();
  void give_back(Pipe pipe);

 private:
  std::vector<Pipe> spare_;
};

class SpliceRelay final : public Relay {
 public:
  enum class Gate : std::uint8_t { kOpen, kClosed };  // kClosed: what the client says first has not been looked at yet
  SpliceRelay(Side& client, Side& server, Meter& meter, PipePool& pipes, Gate gate);
  ~SpliceRelay() override;

  void open_gate() { gate_ = Gate::kOpen; }
  Progress pump(Handler& connection) override;

 private:
  struct Direction {
    Side& from;
    Side& to;
    std::uint64_t& bytes;
    PipePool::Pipe pipe;
    std::size_t held = 0;
    bool has_ended = false;
    bool is_shut = false;
  };
  Progress pump(Direction& direction, Handler& connection);
  Progress drain(Direction& direction);
  Progress fill(Direction& direction, Handler& connection);
  void rest(Direction& direction);

  Meter& meter_;
  PipePool& pipes_;
  Gate gate_;
  Direction up_;
  Direction down_;
};

}  // namespace clawrun::gateway
