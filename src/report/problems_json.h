// The problems of a specification as JSON.
#pragma once

#include <span>
#include <string>

#include "spec/validate.h"

namespace clawrun::report {

// An array of {"setting", "message"}, empty where there is none.
std::string problems_to_json(std::span<const spec::Problem> problems);

}  // namespace clawrun::report
