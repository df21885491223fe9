// A record as text: JSON in one canonical form.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "state/state.h"

namespace clawrun::state {

inline constexpr std::size_t kMaxRecordBytes = 64 * 1024;

// Cuts the command to kLongestCommandBytes. Bytes in the command or the name of the root that are no UTF-8 become U+FFFD;
// anywhere else they are an error. There is a checksum in it, because a record is changed in place, where others may read it
// half changed; and blanks at its end up to `at_least` bytes, so that it need not grow then.
Result<std::string> to_text(Record record, std::size_t at_least = 0);

// Only what to_text() could have written is a record: whatever else is in the text is an error, which names it.
Result<Record> parse_record(std::string_view text);
Result<Record> read_record(int fd);

}  // namespace clawrun::state
