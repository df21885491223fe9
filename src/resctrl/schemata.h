// The lines of a file "schemata" of resctrl: "L3:0=ff;1=f", "MB:0=50;1=20".
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace clawrun::resctrl {

// Where two texts differ, in words; "" where each value that `wanted` names is that of `there`. What `wanted` does not name may
// be anything. The kernel rounds bandwidth up to multiples of `bandwidth_step`; 0: not known.
std::string first_difference(std::string_view wanted, std::string_view there, std::uint64_t bandwidth_step);

// The line of one resource, without blanks before it; "" where there is none.
std::string line_of(std::string_view text, std::string_view resource);

// The decimal number before the end of the first line; 0 where it is none.
std::uint64_t number_at_start(std::string_view text);

// Without blanks on either side.
std::string_view trimmed(std::string_view text);

}  // namespace clawrun::resctrl
