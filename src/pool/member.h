// One sandbox of a pool, from its making to its claim.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"
#include "engine/live_sandbox.h"
#include "engine/warm_sandbox.h"
#include "pool/claim.h"

namespace clawrun::pool {

// How long an interpreter may take until it is ready.
inline constexpr std::chrono::milliseconds kLongestStart{60'000};

class Member {
 public:
  // Parked it is ready then; primed its interpreter has been executed.
  static Result<Member> make(const Common& common, child::Park where);

  [[nodiscard]] int pidfd() const { return warm_.pidfd(); }
  // Of a primed one: readable when it is ready, or will never be; -1: it is ready.
  [[nodiscard]] int ready_fd() const { return ready_.get(); }
  // Waits until it is ready: of one that is claimed at once.
  Result<> await_ready();
  // Looks whether the interpreter has said that it is ready.
  bool take_ready();

  // The last line of what an interpreter that ended has said; "" where it said nothing.
  [[nodiscard]] std::string last_words() const;

  void kill_soon() { warm_.kill_soon(); }
  Result<engine::LiveSandbox> claim(Fitted fitted);

  std::uint64_t begun_ns = 0;

 private:
  explicit Member(engine::WarmSandbox warm) : warm_(std::move(warm)) {}
  engine::WarmSandbox warm_;
  UniqueFd code_;   // a file in memory that is the command's descriptor 3
  UniqueFd ready_;  // the other end of its descriptor 4
};

}  // namespace clawrun::pool
