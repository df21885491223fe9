#include "supervise/relay.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace clawrun::supervise {

pollfd Relay::wanted() const {
  if (!active()) return {-1, 0, 0};
  if (begin_ < end_) return {to_, POLLOUT, 0};
  return {from_, POLLIN, 0};
}

bool Relay::advance(short revents) {
  if (!active() || revents == 0) return false;
  if (begin_ < end_) {
    const ssize_t size = ::write(to_, buffer_ + begin_, end_ - begin_);
    if (size < 0 && (errno == EINTR || errno == EAGAIN)) return false;
    if (size < 0) {  // the reader is gone: what it would have read is lost, as with any pipe
      stop();
      return true;
    }
    begin_ += static_cast<std::size_t>(size);
    return false;
  }
  const ssize_t size = ::read(from_, buffer_, sizeof buffer_);
  if (size < 0 && (errno == EINTR || errno == EAGAIN)) return false;
  if (size <= 0) {  // EIO is how the master of a terminal says that nobody has it open: tty_ioctl(4)
    stop();
    return true;
  }
  begin_ = 0;
  end_ = static_cast<std::size_t>(std::min(static_cast<std::uint64_t>(size), left_bytes_));
  left_bytes_ -= end_;
  lost_bytes_ += static_cast<std::size_t>(size) - end_;
  return false;
}

}  // namespace clawrun::supervise
