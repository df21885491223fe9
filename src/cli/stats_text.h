// What a sandbox has used, in words.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "engine/sandboxes.h"

namespace clawrun::cli {

// One sample in full, a subject a line.
std::string stats_text(const engine::Sandbox& sandbox);

// What a row needs to know of the one before.
struct Previous {
  std::optional<std::uint64_t> cpu_us;
  std::uint64_t at_ns = 0;
  bool titled = false;
};

// One sample as a row, below a line of titles the first time.
std::string stats_row(const engine::Sandbox& sandbox, Previous& previous);

}  // namespace clawrun::cli
