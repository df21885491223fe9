// A profile by name or file: shipped ones are embedded, others are compiled once and cached by the hash of their content.
#pragma once

#include <string>
#include <string_view>

#include "seccomp/program.h"

namespace clawrun::seccomp {

struct LoadOptions {
  // The directory that holds `clawrun/seccomp`; empty: /var/cache for root, $XDG_CACHE_HOME or ~/.cache for others.
  std::string cache_base;
};

// True for a word that names a file: it contains a '/' or ends in ".json".
bool is_profile_file(std::string_view name_or_file);

// At most kMaxProfileBytes of a plain file.
Result<std::string> read_profile_file(const std::string& path);

// A cache that cannot be trusted or written is not used; that is no error.
Result<Compiled> load(std::string_view name_or_file, const LoadOptions& options = {});

// "unknown seccomp profile …", with the nearest name and what is allowed.
Failure unknown_profile(std::string_view name);

}  // namespace clawrun::seccomp
