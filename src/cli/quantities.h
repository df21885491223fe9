// Times and sizes as a person reads them in a table.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "engine/sandboxes.h"

namespace clawrun::cli {

// "3s", "12m", "5h", "4d": one unit, rounded down.
std::string format_age(std::uint64_t ms);

// Since the record was made; 0 where the clock was set back meanwhile.
std::uint64_t age_ms(const state::Record& record);

// "0.53s", "12.3s", "3m12s", "2h05m".
std::string format_time(std::uint64_t us);

// "starting", "running" or "paused".
std::string status_of(const engine::Sandbox& sandbox);

// A size, or "-" where nobody counts it.
std::string format_counted(const std::optional<std::uint64_t>& bytes);

}  // namespace clawrun::cli
