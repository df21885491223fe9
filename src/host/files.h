// Small host files read whole: sysctls, /proc tables, /etc lists.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"

namespace clawrun::host {

// The whole file, or an error when it cannot be read or holds more than `max_bytes`.
Result<std::string> read_file(const char* path, std::size_t max_bytes = std::size_t{1} << 22);

// The same, where a file that cannot be read means as much as an empty one. Trailing newlines are cut off.
std::string read_or_empty(const char* path);

// The number that a sysctl file holds; nothing where it is missing, unreadable or no number.
std::optional<std::int64_t> read_number(const char* path);

// Whether something answers to this path, whatever it is.
bool exists(const char* path);

// Where a symbolic link points to, or "".
std::string read_link(const char* path);

}  // namespace clawrun::host
