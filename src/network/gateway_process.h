// The process of clawrun-gateway: started with the sandbox's sockets, ended with the sandbox.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "plan/plan.h"
#include "sys/helper_program.h"

namespace clawrun::network {

class GatewayProcess {
 public:
  struct Start {
    const sys::HelperProgram& program;
    const std::string& sandbox;
    const plan::Gateway& gateway;
    const std::vector<net::Listener>& listeners;
    const std::vector<UniqueFd>& sockets;      // one for each listener
    const std::vector<UniqueFd>& credentials;  // one for each of the plan's
  };

  GatewayProcess() = default;
  static Result<GatewayProcess> start(const Start& start);

  GatewayProcess(GatewayProcess&& other) noexcept { *this = std::move(other); }
  GatewayProcess& operator=(GatewayProcess&& other) noexcept;
  ~GatewayProcess() { (void)kill(); }

  [[nodiscard]] bool runs() const { return pid_ > 0; }
  [[nodiscard]] int pidfd() const { return pidfd_.get(); }
  [[nodiscard]] int lines_fd() const { return lines_.get(); }

  // It says what is open, and ends by itself.
  void ask_to_end() { lifeline_.reset(); }
  // Reaps one that has ended, or kills it first. How it ended, in words.
  std::string kill();

 private:
  pid_t pid_ = -1;
  UniqueFd pidfd_;
  UniqueFd lines_;
  UniqueFd lifeline_;
};

}  // namespace clawrun::network
