// Sandboxes of one specification that are kept ready.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>

#include "base/result.h"
#include "engine/live_sandbox.h"
#include "pool/claim.h"
#include "pool/options.h"
#include "pool/stats.h"
#include "spec/spec.h"

namespace clawrun::pool {

struct Claimed {
  engine::LiveSandbox sandbox;
  std::shared_ptr<const plan::Plan> plan;
};

// Thread-safe. One thread of its own, which sleeps while there is nothing to do. In a fork of the process it does nothing.
class Pool {
 public:
  // Makes the first sandbox itself: what every one of them would fail with is an error of this call.
  static Result<Pool> open(const spec::SandboxSpec& spec, const Options& options);

  Pool(Pool&& other) noexcept;
  Pool& operator=(Pool&& other) noexcept;
  // Ends what is ready and waits for it. What was claimed goes on.
  ~Pool();

  Result<Claimed> claim(const Claim& claim, const engine::StreamChoice (&streams)[3]);

  // Until so many are ready: false when the time is over, negative being never. An error where none can be made.
  Result<bool> wait_ready(std::uint64_t count, std::chrono::milliseconds at_most);

  Result<> resize(std::uint64_t size);

  [[nodiscard]] Stats stats() const;

 private:
  class State;
  explicit Pool(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace clawrun::pool
