#include "container/net_devices.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <ranges>

#include "base/text.h"
#include "sys/sys.h"

namespace clawrun::container {

namespace {

std::string place_of(const std::string& host_name) {
  return "linux.netDevices." + shown(host_name);
}

// The kernel's words say what it refuses, not what would help.
Failure cannot_move(std::string_view doing, Error error) {
  std::string hint;
  if (error.errno_value == EPERM) hint = " (it needs CAP_NET_ADMIN and CAP_SYS_ADMIN over both network namespaces)";
  if (error.errno_value == EINVAL) hint = " (lo, bridges and some others belong to one namespace for ever)";
  if (error.errno_value == EEXIST) hint = " (one of its names is taken in the container's network namespace)";
  error.message += hint;
  return while_doing(doing, std::move(error));
}

Result<> furnish(net::RouteSocket& socket, int index, const std::vector<net::Address>& addresses) {
  for (const net::Address& address : addresses)
    if (auto added = net::add_address(socket, index, address); !added)
      return while_doing("adding its address " + net::address_text(address), added.error());
  return {};
}

std::vector<net::Address> relabelled(std::vector<net::Address> addresses, const std::string& from, const std::string& to) {
  for (net::Address& address : addresses) address.label = net::renamed_label(address.label, from, to);
  return addresses;
}

}  // namespace

Result<> NetDevices::move(const std::vector<oci::NetDevice>& devices, pid_t pid) {
  TRY(open(pid));
  for (const oci::NetDevice& wanted : devices) {
    auto device = look_at(wanted);
    if (!device) return while_doing(place_of(wanted.host_name), device.error());
    devices_.push_back(std::move(*device));
  }
  for (Device& device : devices_)
    if (auto taken = take_in(device); !taken) return while_doing(place_of(device.host_name), taken.error());
  return {};
}

Result<> NetDevices::open(pid_t pid) {
  outside_namespace_ = TRY(sys::open("/proc/self/ns/net", O_RDONLY));
  inside_namespace_ = TRY(sys::open("/proc/" + std::to_string(pid) + "/ns/net", O_RDONLY));
  struct stat outside {};
  struct stat inside {};
  if (::fstat(outside_namespace_.get(), &outside) != 0 || ::fstat(inside_namespace_.get(), &inside) != 0)
    return fail_errno("linux.netDevices");
  if (outside.st_dev == inside.st_dev && outside.st_ino == inside.st_ino)
    return fail(
        ErrorKind::kInvalid,
        "linux.netDevices: the container's network namespace is the runtime's own; it must be a new one, or another by path");
  outside_ = TRY(net::RouteSocket::open());
  auto socket = net::RouteSocket::open_in(inside_namespace_.get());
  if (!socket) return cannot_move("linux.netDevices", socket.error());
  inside_ = std::move(*socket);
  return {};
}

Result<NetDevices::Device> NetDevices::look_at(const oci::NetDevice& wanted) {
  Device device;
  device.host_name = wanted.host_name;
  device.name = wanted.name.empty() ? wanted.host_name : wanted.name;
  const auto link = TRY(net::find_link(*outside_, device.host_name));
  if (!link) return fail(ErrorKind::kInvalid, "the runtime's network namespace has no interface of this name");
  device.link = *link;
  const auto clash = TRY(net::find_link(*inside_, device.name));
  if (clash)
    return fail(ErrorKind::kInvalid, "the container's network namespace has an interface " + quoted(device.name) +
                                         " already; give it another \"name\"");
  device.addresses = TRY(net::permanent_addresses(*outside_, device.link.index));
  return device;
}

Result<> NetDevices::take_in(Device& device) {
  if (auto moved = net::move_link(*outside_, device.link.index, inside_namespace_.get(), device.name); !moved) {
    // The kernel moves first and renames then.
    const auto still = net::find_link(*outside_, device.host_name);
    if (still && (!*still || (*still)->index != device.link.index)) device.moved_as = device.host_name;
    return cannot_move("moving it into the container's network namespace", moved.error());
  }
  device.moved_as = device.name;
  const auto link = TRY(net::find_link(*inside_, device.name));
  if (!link) return fail(ErrorKind::kSystem, "it is gone from the container's network namespace");
  TRY(furnish(*inside_, link->index, relabelled(device.addresses, device.host_name, device.name)));
  if (auto up = net::set_up(*inside_, link->index); !up) return while_doing("setting it up", up.error());
  return {};
}

Result<> NetDevices::give_back() {
  Result<> result;
  for (Device& device : devices_ | std::views::reverse)
    if (auto back = take_back(device); !back && result)
      result = while_doing(place_of(device.host_name) + ": giving it back", back.error());
  devices_.clear();
  return result;
}

Result<> NetDevices::take_back(Device& device) {
  if (device.moved_as.empty()) return {};
  const auto link = TRY(net::find_link(*inside_, device.moved_as));
  if (!link) return fail(ErrorKind::kSystem, "it is gone from the container's network namespace");
  TRY(net::move_link(*inside_, link->index, outside_namespace_.get(), device.host_name));
  const auto back = TRY(net::find_link(*outside_, device.host_name));
  if (!back) return fail(ErrorKind::kSystem, "it is gone from the runtime's network namespace");
  TRY(furnish(*outside_, back->index, device.addresses));
  if (device.link.is_up) TRY(net::set_up(*outside_, back->index));
  return {};
}

}  // namespace clawrun::container
