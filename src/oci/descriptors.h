// descriptors.json beside the images of a checkpoint: what 0, 1 and 2 of the process were, so that `restore` can give it its own.
// The format is runc's, an array of three names such as "pipe:[4711]".
#pragma once

#include <array>
#include <string>
#include <string_view>

#include "base/result.h"

namespace clawrun::oci {

inline constexpr const char* kDescriptorsFile = "descriptors.json";
inline constexpr std::size_t kMaxDescriptorsBytes = 65'536;

using StandardStreams = std::array<std::string, 3>;

std::string descriptors_json(const StandardStreams& streams);
Result<StandardStreams> parse_descriptors(std::string_view json);

}  // namespace clawrun::oci
