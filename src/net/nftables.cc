#include "net/nftables.h"

#include <endian.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_log.h>
#include <linux/netlink.h>
#include <sys/socket.h>

#include <cstddef>

#include "net/message.h"

namespace clawrun::net {

namespace {

constexpr std::uint16_t kNested = NLA_F_NESTED;

// nfnetlink is big-endian throughout.
std::string number(std::uint32_t value) {
  return bytes_of(htobe32(value));
}

std::string attribute(unsigned type, std::string_view bytes) {
  std::string text =
      bytes_of(nlattr{static_cast<std::uint16_t>(sizeof(nlattr) + bytes.size()), static_cast<std::uint16_t>(type)});
  text += bytes;
  text.resize((text.size() + NLA_ALIGNTO - 1) / NLA_ALIGNTO * NLA_ALIGNTO, '\0');
  return text;
}

std::string nested(unsigned type, const std::string& attributes) {
  return attribute(type | kNested, attributes);
}

std::string text(unsigned type, std::string_view words) {
  return attribute(type, std::string(words) + '\0');
}

std::string value(unsigned type, std::string_view bytes) {
  return nested(type, attribute(NFTA_DATA_VALUE, bytes));
}

std::string nfnetlink(std::uint16_t type, std::uint16_t flags, std::uint32_t sequence, const nfgenmsg& header,
                      const std::string& attributes) {
  const auto size = static_cast<std::uint32_t>(sizeof(nlmsghdr) + sizeof header + attributes.size());
  return bytes_of(nlmsghdr{size, type, flags, sequence, 0}) + bytes_of(header) + attributes;
}

constexpr std::uint16_t of_subsystem(unsigned subsystem, unsigned message) {
  return static_cast<std::uint16_t>(subsystem << 8U | message);
}

nfgenmsg batch_header() {
  return {AF_UNSPEC, NFNETLINK_V0, htobe16(NFNL_SUBSYS_NFTABLES)};
}

std::string compare(std::uint32_t reg, std::uint32_t how, std::string_view bytes) {
  return attribute(NFTA_CMP_SREG, number(reg)) + attribute(NFTA_CMP_OP, number(how)) + value(NFTA_CMP_DATA, bytes);
}

std::string from_payload(std::uint32_t base, std::uint32_t offset, std::size_t size) {
  return attribute(NFTA_PAYLOAD_DREG, number(NFT_REG_1)) + attribute(NFTA_PAYLOAD_BASE, number(base)) +
         attribute(NFTA_PAYLOAD_OFFSET, number(offset)) + attribute(NFTA_PAYLOAD_LEN, number(static_cast<std::uint32_t>(size)));
}

}  // namespace

Rule& Rule::add(std::string_view name, const std::string& attributes) {
  expressions_ += nested(NFTA_LIST_ELEM, text(NFTA_EXPR_NAME, name) + nested(NFTA_EXPR_DATA, attributes));
  return *this;
}

Rule& Rule::load(std::uint32_t reg, std::string_view bytes) {
  return add("immediate", attribute(NFTA_IMMEDIATE_DREG, number(reg)) + value(NFTA_IMMEDIATE_DATA, bytes));
}

Rule& Rule::meta_is(std::uint32_t key, std::string_view bytes) {
  add("meta", attribute(NFTA_META_DREG, number(NFT_REG_1)) + attribute(NFTA_META_KEY, number(key)));
  return add("cmp", compare(NFT_REG_1, NFT_CMP_EQ, bytes));
}

Rule& Rule::meta_is_not(std::uint32_t key, std::string_view bytes) {
  add("meta", attribute(NFTA_META_DREG, number(NFT_REG_1)) + attribute(NFTA_META_KEY, number(key)));
  return add("cmp", compare(NFT_REG_1, NFT_CMP_NEQ, bytes));
}

Rule& Rule::payload_is(std::uint32_t base, std::uint32_t offset, std::string_view bytes) {
  add("payload", from_payload(base, offset, bytes.size()));
  return add("cmp", compare(NFT_REG_1, NFT_CMP_EQ, bytes));
}

Rule& Rule::masked_payload(std::uint32_t base, std::uint32_t offset, std::string_view mask) {
  add("payload", from_payload(base, offset, mask.size()));
  return add("bitwise", attribute(NFTA_BITWISE_SREG, number(NFT_REG_1)) + attribute(NFTA_BITWISE_DREG, number(NFT_REG_1)) +
                            attribute(NFTA_BITWISE_LEN, number(static_cast<std::uint32_t>(mask.size()))) +
                            value(NFTA_BITWISE_MASK, mask) + value(NFTA_BITWISE_XOR, std::string(mask.size(), '\0')));
}

Rule& Rule::payload_is(std::uint32_t base, std::uint32_t offset, std::string_view bytes, std::string_view mask) {
  return masked_payload(base, offset, mask).add("cmp", compare(NFT_REG_1, NFT_CMP_EQ, bytes));
}

Rule& Rule::payload_has_any(std::uint32_t base, std::uint32_t offset, std::string_view bits) {
  return masked_payload(base, offset, bits).add("cmp", compare(NFT_REG_1, NFT_CMP_NEQ, std::string(bits.size(), '\0')));
}

Rule& Rule::set_mark(std::uint32_t mark) {
  load(NFT_REG_1, bytes_of(mark));
  return add("meta", attribute(NFTA_META_KEY, number(NFT_META_MARK)) + attribute(NFTA_META_SREG, number(NFT_REG_1)));
}

Rule& Rule::payload_between(std::uint32_t base, std::uint32_t offset, std::string_view first, std::string_view last) {
  add("payload", from_payload(base, offset, first.size()));
  return add("range", attribute(NFTA_RANGE_SREG, number(NFT_REG_1)) + attribute(NFTA_RANGE_OP, number(NFT_RANGE_EQ)) +
                          value(NFTA_RANGE_FROM_DATA, first) + value(NFTA_RANGE_TO_DATA, last));
}

Rule& Rule::limit_per_second(std::uint64_t packets, std::uint32_t burst) {
  return add("limit", attribute(NFTA_LIMIT_RATE, bytes_of(htobe64(packets))) +
                          attribute(NFTA_LIMIT_UNIT, bytes_of(htobe64(std::uint64_t{1}))) +
                          attribute(NFTA_LIMIT_BURST, number(burst)) + attribute(NFTA_LIMIT_TYPE, number(NFT_LIMIT_PKTS)) +
                          attribute(NFTA_LIMIT_FLAGS, number(0)));
}

Rule& Rule::log(std::uint16_t group, std::uint32_t packet_bytes, std::string_view prefix) {
  return add("log", attribute(NFTA_LOG_GROUP, bytes_of(htobe16(group))) + text(NFTA_LOG_PREFIX, prefix) +
                        attribute(NFTA_LOG_SNAPLEN, number(packet_bytes)) +
                        attribute(NFTA_LOG_QTHRESHOLD, bytes_of(htobe16(std::uint16_t{1}))));
}

Rule& Rule::accept() {
  return add("immediate",
             attribute(NFTA_IMMEDIATE_DREG, number(NFT_REG_VERDICT)) +
                 nested(NFTA_IMMEDIATE_DATA, nested(NFTA_DATA_VERDICT, attribute(NFTA_VERDICT_CODE, number(NF_ACCEPT)))));
}

Rule& Rule::tproxy(std::uint8_t family, std::string_view address, std::string_view port) {
  load(NFT_REG_1, address);
  std::string attributes = attribute(NFTA_TPROXY_FAMILY, number(family)) + attribute(NFTA_TPROXY_REG_ADDR, number(NFT_REG_1));
  if (!port.empty()) {
    load(NFT_REG_2, port);
    attributes += attribute(NFTA_TPROXY_REG_PORT, number(NFT_REG_2));
  }
  return add("tproxy", attributes).accept();
}

Rule& Rule::reject_with_reset() {
  return add("reject", attribute(NFTA_REJECT_TYPE, number(NFT_REJECT_TCP_RST)) + attribute(NFTA_REJECT_ICMP_CODE, {"\0", 1}));
}

Rule& Rule::reject_with_prohibited() {
  return add("reject", attribute(NFTA_REJECT_TYPE, number(NFT_REJECT_ICMPX_UNREACH)) +
                           attribute(NFTA_REJECT_ICMP_CODE, bytes_of(std::uint8_t{NFT_REJECT_ICMPX_ADMIN_PROHIBITED})));
}

Batch::Batch(std::string table) : table_(std::move(table)) {
  messages_ = nfnetlink(NFNL_MSG_BATCH_BEGIN, NLM_F_REQUEST, sequence_++, batch_header(), "");
  add(NFT_MSG_NEWTABLE, NLM_F_CREATE, text(NFTA_TABLE_NAME, table_));
}

void Batch::add(std::uint16_t message, std::uint16_t flags, const std::string& attributes) {
  last_ = messages_.size();
  messages_ += nfnetlink(of_subsystem(NFNL_SUBSYS_NFTABLES, message), static_cast<std::uint16_t>(flags | NLM_F_REQUEST),
                         sequence_++, {NFPROTO_INET, NFNETLINK_V0, 0}, attributes);
}

void Batch::add_chain(const std::string& name, std::uint32_t hook, std::int32_t priority) {
  add(NFT_MSG_NEWCHAIN, NLM_F_CREATE,
      text(NFTA_CHAIN_TABLE, table_) + text(NFTA_CHAIN_NAME, name) +
          nested(NFTA_CHAIN_HOOK, attribute(NFTA_HOOK_HOOKNUM, number(hook)) +
                                      attribute(NFTA_HOOK_PRIORITY, number(static_cast<std::uint32_t>(priority)))) +
          text(NFTA_CHAIN_TYPE, "filter"));
}

void Batch::add_rule(const std::string& chain, const Rule& rule) {
  add(NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND,
      text(NFTA_RULE_TABLE, table_) + text(NFTA_RULE_CHAIN, chain) + nested(NFTA_RULE_EXPRESSIONS, rule.expressions()));
}

std::string Batch::bytes() const {
  std::string all = messages_;
  const auto flags = value_at_start<nlmsghdr>(std::string_view(all).substr(last_))->nlmsg_flags;
  all.replace(last_ + offsetof(nlmsghdr, nlmsg_flags), sizeof flags, bytes_of(static_cast<std::uint16_t>(flags | NLM_F_ACK)));
  return all + nfnetlink(NFNL_MSG_BATCH_END, NLM_F_REQUEST, sequence_, batch_header(), "");
}

std::string log_listener_requests(std::uint16_t group, std::uint32_t packet_bytes) {
  const auto request = [&](std::uint16_t flags, std::uint32_t sequence, const std::string& attributes) {
    return nfnetlink(of_subsystem(NFNL_SUBSYS_ULOG, NFULNL_MSG_CONFIG), static_cast<std::uint16_t>(flags | NLM_F_REQUEST),
                     sequence, {AF_UNSPEC, NFNETLINK_V0, htobe16(group)}, attributes);
  };
  const std::string mode = number(packet_bytes) + bytes_of(std::uint8_t{NFULNL_COPY_PACKET}) + '\0';
  return request(0, 0, attribute(NFULA_CFG_CMD, bytes_of(std::uint8_t{NFULNL_CFG_CMD_BIND}))) +
         request(NLM_F_ACK, 1, attribute(NFULA_CFG_MODE, mode) + attribute(NFULA_CFG_QTHRESH, number(1)));
}

}  // namespace clawrun::net
