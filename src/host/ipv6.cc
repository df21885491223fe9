#include "host/ipv6.h"

#include "host/files.h"

namespace clawrun::host {

// Without ipv6.disable=1 a namespace has it, unless ipv6.disable_ipv6=1 is the default of all, or the sysctl of an older
// namespace is passed on: Documentation/admin-guide/sysctl/net.rst, devconf_inherit_init_net.
bool new_network_has_ipv6() {
  if (!exists("/proc/net/if_inet6")) return false;
  if (read_number("/sys/module/ipv6/parameters/disable_ipv6").value_or(0) != 0) return false;
  const auto inherits = read_number("/proc/sys/net/core/devconf_inherit_init_net").value_or(0);
  return (inherits != 1 && inherits != 3) || read_number("/proc/sys/net/ipv6/conf/default/disable_ipv6").value_or(0) == 0;
}

}  // namespace clawrun::host
