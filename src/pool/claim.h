// What a claim brings, and whether a pool's sandboxes can still take it.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "engine/warm_sandbox.h"
#include "plan/plan.h"
#include "pool/driver.h"
#include "pool/options.h"
#include "spec/spec.h"

namespace clawrun::pool {

struct Claim {
  std::vector<std::string> command;  // empty: the specification's
  std::optional<std::string> code;
  std::vector<std::string> variables;  // "NAME=VALUE"
  std::vector<spec::File> files;
  spec::SandboxSpec settings;  // of which only those in `names` count
  std::vector<std::string> names;

  Result<> add_variable(std::string_view variable);
  // An error where no claim can change it.
  Result<> set(std::string_view name, std::string_view value);
};

// What the sandboxes of a pool have in common.
struct Common {
  std::shared_ptr<const plan::Plan> plan;
  const Driver* driver = nullptr;  // nullptr: parked
  Switch workspace = Switch::kOff;
  bool has_command = true;  // the specification has one, for claims that bring none
};

// What a sandbox is woken with. `files` of it are the claim's.
struct Fitted {
  engine::WarmClaim warm;
  std::string code;                        // primed: as the driver reads it
  std::shared_ptr<const plan::Plan> plan;  // with what the claim has changed, for the report
};

Result<Fitted> fit(const Common& common, const Claim& claim, const engine::StreamChoice (&streams)[3]);

}  // namespace clawrun::pool
