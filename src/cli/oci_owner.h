// Names of the host's users.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace clawrun::cli {

// From /etc/passwd, which a static program can read without NSS; "#UID" where it has no such line.
std::string owner_name(std::uint32_t uid);

// The same of this text in the form of passwd(5).
std::string owner_name(std::uint32_t uid, std::string_view passwd);

}  // namespace clawrun::cli
