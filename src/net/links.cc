#include "net/links.h"

#include <arpa/inet.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>

#include <algorithm>

namespace clawrun::net {

namespace {

constexpr std::uint16_t kProtocol = 11;  // IFA_PROTO, of Linux 5.18

// What makes an address what it is. The label is not among them: it follows the interface's name.
constexpr std::uint16_t kCarriedParts[] = {IFA_ADDRESS, IFA_LOCAL, IFA_BROADCAST, IFA_CACHEINFO, IFA_RT_PRIORITY, kProtocol};

// The other flags are the kernel's findings, such as IFA_F_TENTATIVE and IFA_F_SECONDARY.
constexpr std::uint32_t kCarriedFlags =
    IFA_F_NODAD | IFA_F_OPTIMISTIC | IFA_F_HOMEADDRESS | IFA_F_MANAGETEMPADDR | IFA_F_NOPREFIXROUTE | IFA_F_MCAUTOJOIN;

constexpr int kMaxDumps = 10;

ifinfomsg link_header(int index) {
  ifinfomsg header{};
  header.ifi_family = AF_UNSPEC;
  header.ifi_index = index;
  return header;
}

std::optional<Address> permanent_address_in(const Reply& reply, int index) {
  const auto header = value_at_start<ifaddrmsg>(reply.payload);
  if (reply.type != RTM_NEWADDR || !header || std::cmp_not_equal(header->ifa_index, index)) return std::nullopt;
  const auto attributes = attributes_in(reply.payload, sizeof(ifaddrmsg));
  // Of the flags the header holds the first eight alone.
  std::uint32_t flags = header->ifa_flags;
  if (const auto all = find_attribute(attributes, IFA_FLAGS)) flags = value_at_start<std::uint32_t>(*all).value_or(flags);
  if ((flags & IFA_F_PERMANENT) == 0 || header->ifa_scope != RT_SCOPE_UNIVERSE) return std::nullopt;
  Address address{header->ifa_family, header->ifa_prefixlen, flags & kCarriedFlags, {}, {}};
  for (const Attribute& attribute : attributes) {
    if (attribute.type == IFA_LABEL) address.label = text_of(attribute.bytes);
    if (std::ranges::find(kCarriedParts, attribute.type) != std::end(kCarriedParts))
      address.parts.push_back({attribute.type, std::string(attribute.bytes)});
  }
  return address;
}

}  // namespace

Result<std::optional<Link>> find_link(RouteSocket& socket, const std::string& name) {
  Request request(RTM_GETLINK, NLM_F_REQUEST | NLM_F_ACK, link_header(0));
  request.add_text(IFLA_IFNAME, name);
  std::optional<Link> found;
  auto asked = socket.ask(request, [&](const Reply& reply) {
    const auto header = value_at_start<ifinfomsg>(reply.payload);
    if (reply.type == RTM_NEWLINK && header) found = Link{header->ifi_index, (header->ifi_flags & IFF_UP) != 0};
  });
  if (!asked && asked.error().errno_value == ENODEV) return std::optional<Link>();
  if (!asked) return std::unexpected(std::move(asked).error());
  return found;
}

Result<std::vector<Address>> permanent_addresses(RouteSocket& socket, int index) {
  ifaddrmsg header{};
  header.ifa_family = AF_UNSPEC;
  const Request request(RTM_GETADDR, NLM_F_REQUEST | NLM_F_DUMP, header);
  for (int dump = 1;; ++dump) {
    std::vector<Address> found;
    auto asked = socket.ask(request, [&](const Reply& reply) {
      if (auto address = permanent_address_in(reply, index)) found.push_back(std::move(*address));
    });
    if (asked) return found;
    if (asked.error().errno_value != EINTR || dump == kMaxDumps) return std::unexpected(std::move(asked).error());
  }
}

Result<> move_link(RouteSocket& socket, int index, int namespace_fd, const std::string& name) {
  Request request(RTM_NEWLINK, NLM_F_REQUEST | NLM_F_ACK, link_header(index));
  request.add_number(IFLA_NET_NS_FD, static_cast<std::uint32_t>(namespace_fd));
  request.add_text(IFLA_IFNAME, name);
  return socket.ask(request);
}

Result<> set_up(RouteSocket& socket, int index) {
  ifinfomsg header = link_header(index);
  header.ifi_flags = IFF_UP;
  header.ifi_change = IFF_UP;
  return socket.ask(Request(RTM_NEWLINK, NLM_F_REQUEST | NLM_F_ACK, header));
}

Result<> add_address(RouteSocket& socket, int index, const Address& address) {
  ifaddrmsg header{};
  header.ifa_family = address.family;
  header.ifa_prefixlen = address.prefix_length;
  header.ifa_scope = RT_SCOPE_UNIVERSE;
  header.ifa_index = static_cast<std::uint32_t>(index);
  Request request(RTM_NEWADDR, NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, header);
  for (const Address::Part& part : address.parts) request.add(part.type, part.bytes);
  if (address.flags != 0) request.add_number(IFA_FLAGS, address.flags);
  if (!address.label.empty()) request.add_text(IFA_LABEL, address.label);
  return socket.ask(request);
}

std::string renamed_label(const std::string& label, const std::string& from, const std::string& to) {
  const std::string_view rest = label.starts_with(from) ? std::string_view(label).substr(from.size()) : std::string_view();
  if (!label.starts_with(from) || (!rest.empty() && rest.front() != ':')) return label;
  std::string renamed = to + std::string(rest);
  // A label is as long as a name may be. Too long, it is left to the kernel, which takes the interface's name.
  return renamed.size() < IFNAMSIZ ? renamed : std::string();
}

std::string address_text(const Address& address) {
  char text[INET6_ADDRSTRLEN] = "?";
  // IPv4 has the own address in IFA_LOCAL and the one of the other side, if any, in IFA_ADDRESS.
  for (const std::uint16_t type : {IFA_ADDRESS, IFA_LOCAL})
    for (const Address::Part& part : address.parts)
      if (part.type == type && part.bytes.size() >= (address.family == AF_INET ? sizeof(in_addr) : sizeof(in6_addr)))
        (void)::inet_ntop(address.family, part.bytes.data(), text, sizeof text);
  return std::string(text) + "/" + std::to_string(address.prefix_length);
}

}  // namespace clawrun::net
