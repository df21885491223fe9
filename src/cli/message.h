// What clawrun says of itself: lines on standard error.
#pragma once

#include <string_view>

namespace clawrun::cli {

// Each line of the text with "clawrun: " in front, in one write(2) so that lines of several writers do not mix.
void write_error(std::string_view text);

}  // namespace clawrun::cli
