// An Outcome and a Plan in words: exit status, JSON, and the line a person reads.
#pragma once

#include <string>

#include "base/result.h"
#include "plan/plan.h"
#include "spec/outcome.h"

namespace clawrun::report {

// The exit status of `clawrun exec`: tables/exit_codes.h.
int exit_code(const spec::Outcome& outcome);

// The object of --report, with a newline at its end. `plan` is nullptr where the set-up failed before there was one.
std::string to_json(const spec::Outcome& outcome, const plan::Plan* plan);

// What --dry-run prints: the whole plan, with a newline at its end.
std::string plan_to_json(const plan::Plan& plan);

// What stderr says about output that was thrown away; "" where none was.
std::string truncation(const spec::Outcome& outcome);

// What stderr says about an end that the exit status alone does not explain; "" where there is nothing to say.
std::string explanation(const spec::Outcome& outcome, const plan::Plan& plan);

}  // namespace clawrun::report
