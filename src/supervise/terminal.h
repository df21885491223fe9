// The caller's terminal while a sandbox has one of its own.
#pragma once

#include <termios.h>

namespace clawrun::supervise {

// Raw mode on the caller's terminal (if stdin is one), given back on destruction.
class RawTerminal {
 public:
  explicit RawTerminal(int fd);
  RawTerminal(const RawTerminal&) = delete;
  RawTerminal& operator=(const RawTerminal&) = delete;
  ~RawTerminal();

 private:
  int fd_ = -1;
  termios old_{};
};

// The window size of `from`, a terminal or not, given to the terminal `to`.
void copy_window_size(int from, int to);

}  // namespace clawrun::supervise
