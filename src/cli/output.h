// What the verbs print: text to standard output, and strings as JSON.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace clawrun::cli {

// Writes all of the text to standard output. A reader that went away (EPIPE) has seen enough: that is no error.
Result<> write_out(std::string_view text);

// The text as a JSON string with its quotes; bytes that are no UTF-8 become U+FFFD, so that the document is always valid.
std::string json_quoted(std::string_view text);

// The text with control bytes as '?', for a table on a terminal.
std::string printable(std::string_view text);

}  // namespace clawrun::cli
