// Text that people write: splitting, numbers, sizes, times, and the nearest known word.
#pragma once

#include <chrono>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace clawrun {

// A decimal number of at most `max`: digits only, whole string, no sign, no blanks, no base prefix.
Result<std::uint64_t> parse_unsigned(std::string_view text, std::uint64_t max = UINT64_MAX);

// "64", "64k", "64m", "64g", "64t" (binary, either case, an optional trailing "b" or "ib") as bytes.
Result<std::uint64_t> parse_size(std::string_view text);

// "500ms", "2s", "1.5s", "10m", "1h"; a number without a unit is seconds.
Result<std::chrono::milliseconds> parse_duration(std::string_view text);

// "on"/"off", "true"/"false", "yes"/"no", "1"/"0".
Result<bool> parse_switch(std::string_view text);

// Splits at every `separator`; "a::b" gives an empty part, "" gives one empty part.
std::vector<std::string_view> split(std::string_view text, char separator);

// The candidate that `word` was probably meant to be, or "" where none is near.
std::string_view nearest(std::string_view word, std::span<const std::string_view> candidates);

// `; did you mean "X"?`, or "" where no candidate is near.
std::string did_you_mean(std::string_view word, std::span<const std::string_view> candidates);

// "1536" -> "1.5k"; whole units where they are exact: for messages, not for parsing back.
std::string format_size(std::uint64_t bytes);

// The text in double quotes, control and non-ASCII bytes as \xNN: so that a message never carries a terminal escape.
std::string quoted(std::string_view text);

// A path or a word as a message shows it: as it is where that is plain text without blanks, else quoted().
std::string shown(std::string_view text);

std::string join(std::span<const std::string> parts, std::string_view separator);

}  // namespace clawrun
