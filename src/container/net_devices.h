// linux.netDevices: interfaces of the runtime's network namespace that become the container's.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "net/links.h"
#include "oci/config.h"

namespace clawrun::container {

class NetDevices {
 public:
  // To the network namespace of a process, each with its permanent global addresses, and up there. All that can be looked at is
  // looked at before the first one moves.
  Result<> move(const std::vector<oci::NetDevice>& devices, pid_t pid);

  // Undoes move(), also one that has failed half-way: the old names, addresses and states. Before the last process of a new
  // namespace has ended or after it: the namespace lives as long as this does.
  Result<> give_back();

 private:
  struct Device {
    std::string host_name;
    std::string name;
    net::Link link;  // as it was outside
    std::vector<net::Address> addresses;
    std::string moved_as;  // "": it has not moved
  };

  Result<> open(pid_t pid);
  Result<Device> look_at(const oci::NetDevice& wanted);
  Result<> take_in(Device& device);
  Result<> take_back(Device& device);

  UniqueFd outside_namespace_;
  UniqueFd inside_namespace_;
  std::optional<net::RouteSocket> outside_;
  std::optional<net::RouteSocket> inside_;
  std::vector<Device> devices_;
};

}  // namespace clawrun::container
