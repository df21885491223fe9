// Limits over all connections together: bytes in a time, bytes at all.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "gateway/loop.h"

namespace clawrun::gateway {

struct Limits {
  std::size_t connections = 1024;
  std::chrono::milliseconds connect_timeout{10'000};
  std::chrono::milliseconds idle_timeout{0};  // 0: none
  std::uint64_t rate_bytes_per_s = 0;
  std::uint64_t max_bytes = 0;
};

// A token bucket, filled by time; pure but for the clock that it is given.
class Bucket {
 public:
  // 0: no limit.
  explicit Bucket(std::uint64_t bytes_per_s) : bytes_per_s_(std::min(bytes_per_s, kFastest)) {}

  [[nodiscard]] std::uint64_t available(Clock::time_point now);
  void take(std::uint64_t bytes) { tokens_ -= bytes < tokens_ ? bytes : tokens_; }
  [[nodiscard]] bool is_limited() const { return bytes_per_s_ != 0; }

 private:
  static constexpr std::uint64_t kFastest = 1'000'000'000'000;  // times a second's microseconds it still fits
  std::uint64_t bytes_per_s_;
  std::uint64_t tokens_ = 0;
  Clock::time_point filled_{};
};

class Meter {
 public:
  Meter(Loop& loop, std::uint64_t rate_bytes_per_s, std::uint64_t max_bytes);

  // How many of `wanted` bytes may be moved now. 0: the handler is called with on_ready(0) when there are some again, or the
  // volume is used up.
  std::size_t allow(std::size_t wanted, Handler& waiting);
  void moved(std::uint64_t bytes);
  [[nodiscard]] bool is_spent() const { return max_bytes_ != 0 && total_bytes_ >= max_bytes_; }
  // A handler that ends waits no more.
  void forget(const Handler& handler) { std::erase(waiting_, &handler); }

 private:
  void wake();

  Loop& loop_;
  Bucket bucket_;
  std::uint64_t max_bytes_;
  std::uint64_t total_bytes_ = 0;
  std::vector<Handler*> waiting_;
  Deadline refill_;
};

}  // namespace clawrun::gateway
