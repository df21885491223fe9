// What the gateway reads of a sandbox: DNS, the first bytes of TLS and HTTP, the proxy's HTTP and SOCKS; and the supervisor's JSON.
#include <cstring>
#include <string>

#include "check.h"
#include "gateway/dns_message.h"
#include "gateway/http_request.h"
#include "gateway/proxy_dialog.h"
#include "gateway/request.h"
#include "gateway/rules.h"
#include "gateway/sniff.h"

namespace clawrun::fuzz {
namespace {

using namespace gateway;

void read_dns(std::span<const std::uint8_t> bytes) {
  const DnsReading reading = read_dns_query(bytes);
  if (reading.query) {
    expect(reading.query->name.empty() || canonical_name(reading.query->name) == reading.query->name);
    expect(dns_answer(*reading.query, DnsCode::kNoError, Address{}, 1).size() <= kMaxDnsQueryBytes + 28);
  } else if (reading.fate == DnsReading::Fate::kAnswer) {
    expect(dns_error(bytes, reading.problem).size() == kDnsHeaderBytes);
  }
}

void sniff_first_bytes(std::span<const std::uint8_t> bytes) {
  const Sniffed whole = sniff(bytes);
  expect((whole.kind == Sniffed::Kind::kBroken) == !whole.problem.empty());
  // A decision on a part is not another one than that on the whole.
  const Sniffed part = sniff(bytes.first(bytes.size() / 2));
  if (part.kind == Sniffed::Kind::kTls || part.kind == Sniffed::Kind::kHttp) expect(whole.kind == part.kind && whole.name == part.name);
}

void talk_to_proxy(std::span<const std::uint8_t> bytes) {
  ProxyDialog dialog;
  for (int i = 0; i < 4; ++i) {
    const ProxyDialog::Step step = dialog.next(bytes);
    expect(step.used <= bytes.size());
    if (step.kind != ProxyDialog::Step::Kind::kReply) return;
    bytes = bytes.subspan(step.used);
  }
}

std::string rewrite(std::string_view in) {
  static const std::string kValue = "s";
  HttpRewriter::To to;
  to.host = "a";
  to.headers = {{"K", &kValue}};
  HttpRewriter rewriter(std::move(to));
  std::string out;
  while (!in.empty() && rewriter.problem().empty()) in.remove_prefix(rewriter.feed(in, out));
  return rewriter.problem().empty() && rewriter.is_between_requests() ? out : "";
}

}  // namespace
}  // namespace clawrun::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace clawrun::fuzz;
  const std::span bytes(data, size);
  read_dns(bytes);
  sniff_first_bytes(bytes);
  talk_to_proxy(bytes);
  // What was written anew is read as the same once more: there is one way to read it.
  const std::string once = rewrite(text_of(data, size));
  expect(rewrite(once) == once);
  if (const auto request = clawrun::gateway::parse_request(text_of(data, size)); !request) expect_clear(request.error());
  return 0;
}
