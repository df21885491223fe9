// state.json of a container as text: JSON in one form, strictly read.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "state/container.h"

namespace clawrun::state {

// Annotations are the only part without a bound of its own: config.json may have 16 MiB of them.
inline constexpr std::size_t kMaxContainerBytes = std::size_t{17} << 20U;

// What is not UTF-8 is an error: a path that came back as another would be another's.
Result<std::string> container_to_text(const ContainerRecord& record);

// Each member must be there, once, of its type and in its range, and no other: what a runtime of another kind writes, or a part
// of what this one has written, is no record.
Result<ContainerRecord> parse_container(std::string_view text);

}  // namespace clawrun::state
