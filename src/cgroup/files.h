// The control files of cgroups: one write(2) for a value, one read for a text.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace clawrun::cgroup {

// A directory of a cgroup hierarchy by descriptor, for openat(2) and CLONE_INTO_CGROUP.
Result<UniqueFd> open_directory(const std::string& path);

// The whole of a control file; they are small, and at most 1 MiB is taken.
Result<std::string> read_control(int directory, const char* file);
Result<> write_control(int directory, const char* file, std::string_view value);

// "max" is kUnlimited; nullopt where there is no such file or no number in it.
std::optional<std::uint64_t> read_number(int directory, const char* file);

// The number behind `key` in a file of "key value" lines, such as memory.events.
std::optional<std::uint64_t> flat_keyed(std::string_view text, std::string_view key);

bool exists_in(int directory, const char* file);

// nullptr where this user can make groups in it; else what stands against it.
const char* why_not_writable(const std::string& directory);

// The root of the whole v2 hierarchy, which alone may hold processes beside controllers: kernel.org, cgroup-v2, "No Internal
// Process Constraint".
bool is_hierarchy_root(const std::string& directory);

// The groups directly in one, by name; none where it is gone.
std::vector<std::string> groups_in(const std::string& directory);

// The words of a list such as cgroup.controllers.
bool has_word(std::string_view text, std::string_view word);

}  // namespace clawrun::cgroup
