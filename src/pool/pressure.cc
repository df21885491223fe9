#include "pool/pressure.h"

#include <fcntl.h>

#include <string_view>

namespace clawrun::pool {

UniqueFd watch_memory_pressure() {
  UniqueFd pressure(::open("/proc/pressure/memory", O_RDWR | O_NONBLOCK | O_CLOEXEC));
  // The window of 2 s is the one that ordinary users may ask for, since Linux 6.5.
  constexpr std::string_view kTrigger("some 150000 2000000", sizeof "some 150000 2000000");
  if (pressure.valid() && ::write(pressure.get(), kTrigger.data(), kTrigger.size()) < 0) pressure.reset();
  return pressure;
}

}  // namespace clawrun::pool
