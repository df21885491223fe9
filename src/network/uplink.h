// The supervisor's side of --network allow: the gateway is started when the sandbox first wants something of the outside, and
// what it decides is noted.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "network/gateway_process.h"
#include "network/journal.h"
#include "plan/plan.h"
#include "sys/helper_program.h"

namespace clawrun::network {

// Not thread-safe.
class Uplink {
 public:
  // Before the sandbox is started: what is missing costs nothing yet.
  static Result<Uplink> open(const plan::Plan& plan, const std::string& sandbox, Say say);

  // The sandbox's sockets, as launch::Sandbox has them.
  Result<> begin(std::vector<UniqueFd> sockets);

  // Readable when step() has something to do.
  [[nodiscard]] int fd() const { return watched_.get(); }
  void step();

  // The sandbox is gone. A gateway that has started says what was open, and ends; then has_ended().
  void end();
  [[nodiscard]] bool has_ended() const { return !gateway_.runs(); }
  // It was given time enough.
  void kill();

  spec::NetworkUse take_use();

 private:
  enum class Watched : std::uint32_t { kKnock, kRefusals, kLines, kEnd };

  Uplink() = default;
  Result<> watch(Watched what, int fd);
  void start_gateway();
  void take_refusals();
  bool take_lines();
  void take_line(std::string_view line);
  void take_end();
  void lose(const std::string& why);

  plan::Gateway allowed_;
  std::vector<net::Listener> listeners_;
  std::string sandbox_;
  sys::HelperProgram program_;
  std::vector<UniqueFd> credentials_;
  UniqueFd watched_;
  UniqueFd refusals_;
  std::vector<UniqueFd> sockets_;
  GatewayProcess gateway_;
  std::string unread_;  // the beginning of a line
  bool is_ready_ = false;
  bool is_ending_ = false;
  Journal journal_;
};

}  // namespace clawrun::network
