// Which hosts may be reached: the rules, and the decision on a name, a literal address, or an address that a name has led to.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"
#include "gateway/address.h"

namespace clawrun::gateway {

enum class Protocol : std::uint8_t { kTcp, kUdp, kDns };
std::string_view protocol_name(Protocol protocol);

struct PortRange {
  std::uint16_t first = 0;
  std::uint16_t last = 0;
};

struct ExactName {
  std::string name;
};
struct NamesBelow {
  std::string suffix;  // ".example.com"
};

struct Rule {
  std::variant<ExactName, NamesBelow, Network> host;
  std::vector<PortRange> ports;
  Protocol protocol = Protocol::kTcp;
  std::string text;  // as the user wrote it
};

// Lower case, without a final dot; nullopt where it is no name of letters, digits, '-' and '_' in labels of at most 63 bytes.
std::optional<std::string> canonical_name(std::string_view name);

// The host of a rule: a name, "*.NAME", an address or a network.
Result<std::variant<ExactName, NamesBelow, Network>> parse_host(std::string_view host);

struct Decision {
  enum class Verdict : std::uint8_t { kAllowed, kDenied } verdict = Verdict::kDenied;
  const Rule* rule = nullptr;  // what decided, or nullptr where no rule did
  std::string reason;          // of a refusal

  [[nodiscard]] bool allowed() const { return verdict == Verdict::kAllowed; }
};

class Policy {
 public:
  Policy(std::vector<Rule> allow, std::vector<Rule> deny) : allow_(std::move(allow)), deny_(std::move(deny)) {}

  // Names are canonical. Whether anything of this host may be reached: what the DNS answerer asks.
  [[nodiscard]] const Rule* find_name(std::string_view name) const;
  [[nodiscard]] Decision decide_name(std::string_view name, std::uint16_t port, Protocol protocol) const;
  // An address that nobody resolved: only rules for addresses count.
  [[nodiscard]] Decision decide_literal(const Endpoint& to, Protocol protocol) const;
  // An address that the outside gave for a name that `by_name` allows.
  [[nodiscard]] Decision decide_resolved(const Decision& by_name, const Endpoint& to, Protocol protocol) const;

  [[nodiscard]] const std::vector<Rule>& allowing() const { return allow_; }

 private:
  std::vector<Rule> allow_;
  std::vector<Rule> deny_;
};

}  // namespace clawrun::gateway
