// What all sandboxes of a pool have in common, from its specification and options.
#pragma once

#include "base/result.h"
#include "child/plan.h"
#include "pool/claim.h"
#include "pool/options.h"
#include "spec/spec.h"

namespace clawrun::pool {

Result<Common> prepare(spec::SandboxSpec spec, const Options& options);

// How far a parked sandbox of this plan goes before it is claimed. The filters may be loaded already where they allow what is
// still to be done then.
child::Park where_to_park(const Common& common);

// A clear word before a start fails for want of descriptors.
Result<> check_descriptors(const Common& common, std::uint64_t size);

}  // namespace clawrun::pool
