// A Plan as the child reads it: arrays of plain pointers into the Plan, which outlives the child's use of them.
#pragma once

#include <deque>
#include <vector>

#include "child/plan.h"
#include "plan/plan.h"

namespace clawrun::launch {

// Owns the arrays; not to be moved once `child` has been filled.
class FlatPlan {
 public:
  explicit FlatPlan(const plan::Plan& plan);
  FlatPlan(const FlatPlan&) = delete;
  FlatPlan& operator=(const FlatPlan&) = delete;

  // Of a claim, in place of the plan's; what it is given must stay where it is.
  void set_command(const std::vector<std::string>& candidates, const std::vector<std::string>& argv,
                   const std::vector<std::string>& environment);

  child::ChildPlan child;                    // descriptors, stacks and keep_fds are the caller's to fill
  std::vector<child::Operation> operations;  // their `fd` too
  std::uint64_t stages_ns[static_cast<std::size_t>(child::Stage::kCount)] = {};

 private:
  void flatten(const plan::NewNetwork& network);

  std::deque<std::vector<const char*>> lists_;
  std::vector<child::NetlinkRequests> requests_;
  std::vector<child::GatewaySocket> sockets_;
  std::vector<child::LandlockRule> rules_;
  std::vector<child::Filter> filters_;
};

}  // namespace clawrun::launch
