// Rules of nf_tables as netlink messages, one batch that takes effect whole or not at all: nft(8), linux/netfilter/nf_tables.h.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace clawrun::net {

// The expressions of one rule, in the order in which the kernel evaluates them: the first that does not match ends it.
class Rule {
 public:
  Rule& meta_is_not(std::uint32_t key, std::string_view value);
  Rule& meta_is(std::uint32_t key, std::string_view value);                            // NFT_META_*
  Rule& payload_is(std::uint32_t base, std::uint32_t offset, std::string_view value);  // NFT_PAYLOAD_*_HEADER
  Rule& payload_is(std::uint32_t base, std::uint32_t offset, std::string_view value, std::string_view mask);
  Rule& payload_has_any(std::uint32_t base, std::uint32_t offset, std::string_view bits);
  Rule& payload_between(std::uint32_t base, std::uint32_t offset, std::string_view first, std::string_view last);
  Rule& set_mark(std::uint32_t mark);
  Rule& limit_per_second(std::uint64_t packets, std::uint32_t burst);
  Rule& log(std::uint16_t group, std::uint32_t packet_bytes, std::string_view prefix);

  // How a rule ends.
  Rule& accept();
  // To the transparent socket at this address and port; without a port at the packet's own.
  Rule& tproxy(std::uint8_t family, std::string_view address, std::string_view port = {});
  Rule& reject_with_reset();
  Rule& reject_with_prohibited();  // ICMP or ICMPv6, as the packet is

  [[nodiscard]] const std::string& expressions() const { return expressions_; }

 private:
  Rule& add(std::string_view name, const std::string& attributes);
  Rule& load(std::uint32_t reg, std::string_view value);
  Rule& masked_payload(std::uint32_t base, std::uint32_t offset, std::string_view mask);

  std::string expressions_;
};

// One table of family inet, which is new.
class Batch {
 public:
  explicit Batch(std::string table);

  void add_chain(const std::string& name, std::uint32_t hook, std::int32_t priority);  // NF_INET_*; of type filter
  void add_rule(const std::string& chain, const Rule& rule);

  // The last message asks for an acknowledgement. An error of any comes unasked, and before that.
  [[nodiscard]] std::string bytes() const;

 private:
  void add(std::uint16_t message, std::uint16_t flags, const std::string& attributes);

  std::string table_;
  std::string messages_;
  std::size_t last_ = 0;  // where the last message begins
  std::uint32_t sequence_ = 0;
};

// A socket of the group is told of each packet that a rule logs, at once, by its first bytes: libnetfilter_log, NFULNL_CFG_*.
std::string log_listener_requests(std::uint16_t group, std::uint32_t packet_bytes);

}  // namespace clawrun::net
