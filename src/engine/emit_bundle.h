// `exec --emit-bundle`: a plan written down as an OCI bundle, instead of being run.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "plan/plan.h"
#include "spec/spec.h"

namespace clawrun::engine {

struct BundleRequest {
  std::string directory;    // must not be there, or be empty
  spec::IdRange uid_range;  // of the specification: its last 65536 ids are for root's bundles
};

// What of the plan no runtime can be told, a line each. The directory is there whole or not at all: it is made beside its place
// and renamed. Starts nothing.
Result<std::vector<std::string>> emit_bundle(const plan::Plan& plan, const BundleRequest& request);

}  // namespace clawrun::engine
