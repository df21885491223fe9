// The parts of config.json, each read by a file of its own.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "oci/config.h"
#include "oci/json_reader.h"

namespace clawrun::oci {

// uid_t and gid_t of -1 mean "leave as it is" to setresuid(2) and chown(2), which is nobody's id.
inline constexpr std::uint32_t kMaxId = UINT32_MAX - 1;

Result<Process> process_of(const JsonValue& value);
Result<Linux> linux_of(const JsonValue& value);
Result<Resources> resources_of(const JsonValue& value);
Result<Seccomp> seccomp_of(const JsonValue& value);
// linux.intelRdt, linux.memoryPolicy, linux.personality.
Result<IntelRdt> intel_rdt_of(const JsonValue& value);
Result<MemoryPolicy> memory_policy_of(const JsonValue& value);
Result<std::uint32_t> personality_of(const JsonValue& value);

// `user` has the maps of the container's user namespace, for maps that are relative to it.
struct UserMaps {
  const std::vector<IdMapping>& uids;
  const std::vector<IdMapping>& gids;
};
Result<Mount> mount_of(const JsonValue& value, const UserMaps& user);

// A member with an id map: each range of at least one id, inside 32 bits, none overlapping another.
Result<> read_id_map(const JsonObject& object, std::string_view key, std::vector<IdMapping>& target);

// For a path that must begin with '/'.
Result<> read_absolute_path(const JsonValue& value, std::string& target);

// "0-2,7" of cpuset(7). Blanks and empty elements, which runc takes, are left out of `target`.
Result<> read_processor_list(const JsonValue& value, std::string& target);

// Whether it can be the name of one file: not "", "." or "..", and without '/'.
bool is_file_name(std::string_view name);

}  // namespace clawrun::oci
