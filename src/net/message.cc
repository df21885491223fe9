#include "net/message.h"

#include <linux/netlink.h>

#include <algorithm>

namespace clawrun::net {

namespace {

static_assert(NLMSG_ALIGNTO == NLA_ALIGNTO);

constexpr std::size_t aligned(std::size_t size) {
  return (size + NLA_ALIGNTO - 1) & ~std::size_t{NLA_ALIGNTO - 1};
}

// What comes after an element of this length and its padding, which the last one may lack.
std::string_view after(std::string_view bytes, std::size_t length) {
  return bytes.substr(std::min(aligned(length), bytes.size()));
}

}  // namespace

void Request::append(std::string_view bytes) {
  payload_ += bytes;
  payload_.resize(aligned(payload_.size()), '\0');
}

void Request::add(std::uint16_t attribute, std::string_view bytes) {
  payload_ += bytes_of(nlattr{static_cast<std::uint16_t>(sizeof(nlattr) + bytes.size()), attribute});
  append(bytes);
}

std::string Request::bytes(std::uint32_t sequence) const {
  return bytes_of(nlmsghdr{static_cast<std::uint32_t>(sizeof(nlmsghdr) + payload_.size()), type_, flags_, sequence, 0}) +
         payload_;
}

std::vector<Reply> replies_in(std::string_view packet) {
  std::vector<Reply> replies;
  while (const auto header = value_at_start<nlmsghdr>(packet)) {
    if (header->nlmsg_len < sizeof(nlmsghdr) || header->nlmsg_len > packet.size()) break;
    replies.push_back({header->nlmsg_type, header->nlmsg_flags, header->nlmsg_seq,
                       packet.substr(sizeof(nlmsghdr), header->nlmsg_len - sizeof(nlmsghdr))});
    packet = after(packet, header->nlmsg_len);
  }
  return replies;
}

std::vector<Attribute> attributes_in(std::string_view payload, std::size_t header_size) {
  std::vector<Attribute> attributes;
  std::string_view rest = after(payload, header_size);
  while (const auto header = value_at_start<nlattr>(rest)) {
    if (header->nla_len < sizeof(nlattr) || header->nla_len > rest.size()) break;
    attributes.push_back({static_cast<std::uint16_t>(header->nla_type & NLA_TYPE_MASK),
                          rest.substr(sizeof(nlattr), header->nla_len - sizeof(nlattr))});
    rest = after(rest, header->nla_len);
  }
  return attributes;
}

std::optional<std::string_view> find_attribute(const std::vector<Attribute>& attributes, std::uint16_t type) {
  const auto found = std::ranges::find(attributes, type, &Attribute::type);
  if (found == attributes.end()) return std::nullopt;
  return found->bytes;
}

std::string text_of(std::string_view bytes) {
  return std::string(bytes.substr(0, bytes.find('\0')));
}

}  // namespace clawrun::net
