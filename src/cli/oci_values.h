// Values on the command lines of the OCI verbs: numbers with a sign, sizes, times and signals, as runc takes them.
#pragma once

#include <chrono>
#include <cstdint>
#include <string_view>

#include "base/result.h"

namespace clawrun::cli {

// A decimal number that may be negative: nothing before or behind it.
Result<std::int64_t> parse_signed(std::string_view text);

// parse_size(), and -1 for no limit.
Result<std::int64_t> parse_limit(std::string_view text);

// Go's form: "5s", "1m30s", "1.5h", "250ms"; a bare number is no time. More than nothing, at most a year.
Result<std::chrono::milliseconds> parse_interval(std::string_view text);

// 0 to 64, "KILL", "SIGKILL", "kill", "RTMIN+3", "SIGRTMAX-1".
Result<int> parse_signal(std::string_view text);

}  // namespace clawrun::cli
