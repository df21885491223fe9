// What a pool has counted, and what it has now.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace clawrun::pool {

struct Stats {
  std::uint64_t size = 0;
  std::uint64_t ready = 0;
  std::uint64_t filling = 0;
  std::uint64_t hits = 0;
  std::uint64_t misses = 0;
  std::uint64_t waited = 0;
  std::uint64_t starved = 0;
  std::uint64_t made = 0;
  std::uint64_t died = 0;
  std::uint64_t failed = 0;
  std::uint64_t shrunk = 0;
  std::uint64_t refill_us_total = 0;
  std::uint64_t refill_us_max = 0;
};

std::string to_json(const Stats& stats);

// https://prometheus.io/docs/instrumenting/exposition_formats/ with the label pool.
std::string to_prometheus(const Stats& stats, std::string_view pool);

}  // namespace clawrun::pool
