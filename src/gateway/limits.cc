#include "gateway/limits.h"

#include <algorithm>
#include <utility>

namespace clawrun::gateway {

namespace {
constexpr std::chrono::milliseconds kRefill{10};
constexpr std::uint64_t kLeastBurst = 4096;  // a rate below it still moves whole packets, seldom
}  // namespace

std::uint64_t Bucket::available(Clock::time_point now) {
  using std::chrono::microseconds;
  constexpr std::uint64_t kMicro = 1'000'000;
  if (!is_limited()) return UINT64_MAX;
  const std::uint64_t burst = std::max(bytes_per_s_ / 10, kLeastBurst);
  if (filled_ == Clock::time_point{}) filled_ = now;
  const auto passed = std::chrono::duration_cast<microseconds>(std::min<Clock::duration>(now - filled_, std::chrono::seconds(1)));
  const std::uint64_t added = bytes_per_s_ * static_cast<std::uint64_t>(passed.count()) / kMicro;
  // Time that gives no whole byte is not lost.
  if (added > 0) {
    tokens_ = std::min(tokens_ + added, burst);
    filled_ = now;
  }
  return tokens_;
}

Meter::Meter(Loop& loop, std::uint64_t rate_bytes_per_s, std::uint64_t max_bytes)
    : loop_(loop), bucket_(rate_bytes_per_s), max_bytes_(max_bytes), refill_(loop, [this] { wake(); }) {}

std::size_t Meter::allow(std::size_t wanted, Handler& waiting) {
  std::uint64_t allowed = wanted;
  if (max_bytes_ != 0) allowed = std::min(allowed, max_bytes_ - std::min(max_bytes_, total_bytes_));
  if (allowed == 0 || !bucket_.is_limited()) return static_cast<std::size_t>(allowed);
  const std::uint64_t available = bucket_.available(Clock::now());
  if (available == 0) {
    if (std::ranges::find(waiting_, &waiting) == waiting_.end()) waiting_.push_back(&waiting);
    if (!refill_.is_set()) refill_.set(kRefill);
  }
  return static_cast<std::size_t>(std::min(allowed, available));
}

void Meter::moved(std::uint64_t bytes) {
  total_bytes_ += bytes;
  bucket_.take(bytes);
}

void Meter::wake() {
  for (Handler* handler : std::exchange(waiting_, {})) loop_.again(*handler);
}

}  // namespace clawrun::gateway
