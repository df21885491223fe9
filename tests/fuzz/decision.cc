// What the supervisor reads of the gateway and of the kernel: a line of the one, or after a NUL byte a packet of the other.
#include "network/decision.h"

#include "check.h"
#include "network/refusal.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace clawrun;
  const std::string_view text = fuzz::text_of(data, size);
  const auto is_one_line = [](const spec::NetworkDecision& decision) {
    const std::string line = network::log_line(decision, "s");
    fuzz::expect(line.find('\n') == line.size() - 1);
    fuzz::expect_clear({ErrorKind::kInvalid, 0, network::refusal_in_words(decision)});
  };
  if (!text.starts_with('\0')) {
    const auto line = network::parse_line(text);
    if (line && line->kind == network::GatewayLine::Kind::kDecision) is_one_line(line->decision);
    return 0;
  }
  for (const spec::NetworkDecision& refusal : network::refusals_in(text.substr(1))) {
    fuzz::expect(refusal.verdict == "denied" && !refusal.address.empty());
    is_one_line(refusal);
  }
  return 0;
}
