// How long to wait after sandboxes that could not be made, or died while they were ready.
#pragma once

#include <algorithm>
#include <cstdint>

namespace clawrun::pool {

// On CLOCK_MONOTONIC, so that setting the clock changes nothing.
class Backoff {
 public:
  void failed(std::uint64_t now_ns) {
    // Long ago: another story.
    if (now_ns > until_ns_ + kLongest_ns) in_a_row_ = 0;
    const std::uint64_t delay_ns = std::min(kLongest_ns, kFirst_ns << std::min(in_a_row_, 16U));
    ++in_a_row_;
    until_ns_ = std::max(until_ns_, now_ns + delay_ns);
  }
  // One was of use.
  void succeeded() {
    in_a_row_ = 0;
    until_ns_ = 0;
  }
  [[nodiscard]] std::uint64_t until_ns() const { return until_ns_; }
  [[nodiscard]] unsigned in_a_row() const { return in_a_row_; }

  static constexpr std::uint64_t kFirst_ns = 10'000'000;
  static constexpr std::uint64_t kLongest_ns = 10'000'000'000;

 private:
  unsigned in_a_row_ = 0;
  std::uint64_t until_ns_ = 0;
};

}  // namespace clawrun::pool
