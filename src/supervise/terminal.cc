#include "supervise/terminal.h"

#include <sys/ioctl.h>

namespace clawrun::supervise {

RawTerminal::RawTerminal(int fd) {
  if (::tcgetattr(fd, &old_) != 0) return;
  termios raw = old_;
  ::cfmakeraw(&raw);
  if (::tcsetattr(fd, TCSANOW, &raw) == 0) fd_ = fd;
}

RawTerminal::~RawTerminal() {
  if (fd_ >= 0) ::tcsetattr(fd_, TCSANOW, &old_);
}

void copy_window_size(int from, int to) {
  winsize size{};
  if (::ioctl(from, TIOCGWINSZ, &size) == 0) ::ioctl(to, TIOCSWINSZ, &size);
}

}  // namespace clawrun::supervise
