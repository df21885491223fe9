#include "gateway/proxy_dialog.h"

#include "gateway/http_request.h"
#include "gateway/sniff.h"
#include "gateway/socks.h"

namespace clawrun::gateway {

namespace {

using Kind = ProxyDialog::Step::Kind;

constexpr std::uint16_t kHttpPort = 80;

std::string http_response(std::string_view status, const std::string& reason) {
  const std::string body = "clawrun: " + reason + "\n";
  std::string text = "HTTP/1.1 " + std::string(status) + "\r\nContent-Type: text/plain\r\nContent-Length: ";
  return text + std::to_string(body.size()) + "\r\nConnection: close\r\n\r\n" + body;
}

ProxyDialog::Step broken(std::string reply) {
  return {Kind::kBroken, 0, std::move(reply), {}, 0};
}

}  // namespace

ProxyDialog::Step ProxyDialog::next_socks(std::span<const std::uint8_t> bytes) {
  if (speech_ == Speech::kSocksGreeting) {
    const SocksGreeting greeting = read_socks_greeting(bytes);
    if (greeting.state == SocksGreeting::State::kMore) return {};
    if (greeting.state == SocksGreeting::State::kBroken) return broken({});
    if (!greeting.offers_no_authentication) return broken("\x05\xff");
    speech_ = Speech::kSocksRequest;
    return {Kind::kReply, greeting.size, std::string("\x05\0", 2), {}, 0};
  }
  SocksRequest request = read_socks_request(bytes);
  if (request.state == SocksRequest::State::kMore) return {};
  if (request.state == SocksRequest::State::kBroken) return broken(socks_reply(request.problem));
  return {Kind::kTunnel, request.size, {}, std::move(request.host), request.port};
}

ProxyDialog::Step ProxyDialog::next_http(std::span<const std::uint8_t> bytes) {
  const HttpHead head = read_http_head({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  if (head.state == HttpHead::State::kMore && bytes.size() < kMaxSniffBytes) return {};
  if (head.state == HttpHead::State::kMore)
    return broken(http_response("431 Request Header Fields Too Large", "the head of the request is too long"));
  if (head.state == HttpHead::State::kBroken) return broken(http_response("400 Bad Request", std::string(head.problem)));
  if (head.form == HttpHead::Form::kOrigin)
    return broken(http_response("400 Bad Request", "this is a proxy: the request must be CONNECT or have a whole URL"));
  const bool is_connect = head.form == HttpHead::Form::kConnect;
  speech_ = is_connect ? Speech::kConnect : Speech::kForward;
  return {is_connect ? Kind::kTunnel : Kind::kForward,
          is_connect ? head.size : 0,
          {},
          head.host,
          head.port != 0 ? head.port : kHttpPort};
}

ProxyDialog::Step ProxyDialog::next(std::span<const std::uint8_t> bytes) {
  if (bytes.empty()) return {};
  if (speech_ == Speech::kUnknown && bytes[0] == kSocksVersion) speech_ = Speech::kSocksGreeting;
  return speech_ == Speech::kUnknown ? next_http(bytes) : next_socks(bytes);
}

std::string ProxyDialog::success() const {
  if (speech_ == Speech::kSocksRequest) return socks_reply(SocksReply::kDone);
  return speech_ == Speech::kConnect ? "HTTP/1.1 200 Connection established\r\n\r\n" : "";
}

std::string ProxyDialog::refusal(ProxyRefusal refusal, const std::string& reason) const {
  const bool denied = refusal == ProxyRefusal::kDenied;
  if (speech_ == Speech::kSocksRequest) return socks_reply(denied ? SocksReply::kNotAllowed : SocksReply::kUnreachable);
  return http_response(denied ? "403 Forbidden" : "502 Bad Gateway", reason);
}

}  // namespace clawrun::gateway
