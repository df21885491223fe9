#include "supervise/capture.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace clawrun::supervise {

bool Capture::advance() {
  constexpr int kTurns = 16;
  char buffer[65536];  // the usual capacity of a pipe: pipe(7)
  for (int i = 0; i < kTurns && fd_ >= 0; ++i) {
    const ssize_t size = ::read(fd_, buffer, sizeof buffer);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0 && errno == EAGAIN) return true;
    if (size <= 0) {
      stop();
      return true;
    }
    const auto got = static_cast<std::size_t>(size);
    const std::size_t kept = static_cast<std::size_t>(std::min<std::uint64_t>(got, limit_bytes_ - bytes_.size()));
    bytes_.append(buffer, kept);
    lost_bytes_ += got - kept;
  }
  return fd_ < 0;
}

}  // namespace clawrun::supervise
