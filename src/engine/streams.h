// What a caller makes of the standard streams: for the start, and for the supervision.
#pragma once

#include <cstdint>

#include "base/result.h"
#include "base/unique_fd.h"
#include "launch/launch.h"
#include "supervise/supervise.h"

namespace clawrun::engine {

// Of an output that is captured, where the specification says nothing.
inline constexpr std::uint64_t kDefaultCaptureBytes = 16ULL << 20U;

struct StreamChoice {
  enum class Kind : std::uint8_t {
    kInherit,
    kNull,
    kPipe,     // LiveSandbox::take_stream()
    kCapture,  // LiveSandbox::output()
    kDescriptor,
  };
  Kind kind = Kind::kInherit;
  int fd = -1;  // kDescriptor: stays the caller's
};

// What a stream is to the start and to the supervision, and for a limited pipe the end that its reader gets.
struct Streams {
  launch::Stream starts[3];
  supervise::StreamUse uses[3];
  UniqueFd reader_ends[3];
};

// With a terminal of its own.
Result<> check_terminal(const StreamChoice& choice);

// `limit_bytes` is of each output; UINT64_MAX: none.
Result<Streams> choose_streams(const StreamChoice (&choices)[3], std::uint64_t limit_bytes);

// What a plan decides of streams that are inherited, for a sandbox whose plan is older than the choice.
Result<> settle_inherited(Streams& streams, const StreamChoice (&choices)[3], std::uint64_t limit_bytes);

}  // namespace clawrun::engine
