// The words for what the child reports: which step failed, on what, and what a person can do about it.
#pragma once

#include "base/result.h"
#include "child/plan.h"
#include "plan/plan.h"

namespace clawrun::launch {

Error describe(const plan::Plan& plan, const child::Report& report);

}  // namespace clawrun::launch
