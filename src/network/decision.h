// A decision on what a sandbox wanted of the outside, as the gateway tells it and as the log keeps it.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "spec/outcome.h"

namespace clawrun::network {

// One line of the gateway's.
struct GatewayLine {
  enum class Kind : std::uint8_t { kReady, kError, kDropped, kDecision } kind = Kind::kDecision;
  std::string message;             // kError
  std::uint64_t count = 0;         // kDropped
  spec::NetworkDecision decision;  // kDecision
};

// nullopt: not a line that the gateway writes.
std::optional<GatewayLine> parse_line(std::string_view line);

// One JSON object and a newline.
std::string log_line(const spec::NetworkDecision& decision, const std::string& sandbox);

// RFC 3339 with milliseconds, now.
std::string now_text();

// "api.example.com:443", "[2001:db8::1]:53/udp".
std::string target_of(const spec::NetworkDecision& decision);

// Of a refusal, for a person: what was refused, and the option that would allow it where there is one.
std::string refusal_in_words(const spec::NetworkDecision& decision);

}  // namespace clawrun::network
