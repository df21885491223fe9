// The bytes of a cached filter: a header with sizes and hashes, the programs, the unknown names.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "seccomp/program.h"
#include "seccomp/table.h"

namespace clawrun::seccomp {

using Hash = std::array<std::uint8_t, 32>;

// SHA-256 over everything that the compiled filter depends on: the profile, the target, and who compiles.
Hash cache_key(std::string_view json, const Target& target);

std::string to_hex(const Hash& hash);

std::string encode(const Compiled& compiled, const Hash& key);

// nullopt where anything is amiss: another key, a wrong length, a checksum that does not fit, a program of a bad size.
std::optional<Compiled> decode(std::string_view bytes, const Hash& key);

// No valid file is larger.
inline constexpr std::size_t kMaxCacheFileBytes = std::size_t{1} << 20U;

}  // namespace clawrun::seccomp
