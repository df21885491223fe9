#include "gateway/proxy_dialog.h"

#include <doctest/doctest.h>

#include "gateway/socks.h"

using namespace clawrun::gateway;
using Kind = ProxyDialog::Step::Kind;

namespace {

std::span<const std::uint8_t> bytes_of(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

}  // namespace

TEST_CASE("SOCKS5: greeting, request, reply") {
  ProxyDialog dialog;
  CHECK(dialog.next(bytes_of("\x05")).kind == Kind::kMore);
  const auto greeting = dialog.next(bytes_of(std::string_view("\x05\x02\x02\x00more", 8)));
  CHECK(greeting.kind == Kind::kReply);
  CHECK(greeting.used == 4);
  CHECK(greeting.reply == std::string_view("\x05\x00", 2));
  const std::string request(
      "\x05\x01\x00\x03\x09"
      "a.example\x01\xbb",
      16);
  for (std::size_t size = 0; size < request.size(); ++size)
    CHECK(dialog.next(bytes_of(request.substr(0, size))).kind == Kind::kMore);
  const auto tunnel = dialog.next(bytes_of(request + "x"));
  CHECK(tunnel.kind == Kind::kTunnel);
  CHECK(tunnel.used == request.size());
  CHECK(tunnel.host == "a.example");
  CHECK(tunnel.port == 443);
  CHECK(dialog.success() == socks_reply(SocksReply::kDone));
  CHECK(dialog.refusal(ProxyRefusal::kDenied, "x")[1] == 2);
}

TEST_CASE("SOCKS5: what is not CONNECT without authentication is refused") {
  CHECK(ProxyDialog().next(bytes_of(std::string_view("\x05\x01\x02", 3))).reply == "\x05\xff");
  const auto request = [](std::string_view bytes) { return read_socks_request(bytes_of(bytes)); };
  CHECK(request(std::string_view("\x05\x02\x00\x01\x01\x02\x03\x04\x00\x50", 10)).problem == SocksReply::kNoSuchCommand);
  CHECK(request(std::string_view("\x05\x01\x00\x05\x01\x02\x03\x04\x00\x50", 10)).problem == SocksReply::kNoSuchAddress);
  CHECK(request(std::string_view("\x05\x01\x00\x03\x00\x00\x50", 7)).problem == SocksReply::kNoSuchAddress);
  CHECK(request("\x04\x01").state == SocksRequest::State::kBroken);
  CHECK(request(std::string_view("\x05\x01\x00\x01\x01\x02\x03\x04\x00\x50", 10)).host == "1.2.3.4");
  CHECK(request(std::string_view("\x05\x01\x00\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1\x00\x50", 22)).host == "::1");
}

TEST_CASE("HTTP to the proxy: a tunnel, a request to forward, or an answer in words") {
  CHECK(ProxyDialog().next(bytes_of("CONNECT a:1 HTTP/1.1\r\n")).kind == Kind::kMore);
  CHECK(ProxyDialog().next(bytes_of("CONNECT a:1 HTTP/1.1\r\n\r\n")).kind == Kind::kTunnel);
  const auto forward = ProxyDialog().next(bytes_of("GET http://a/ HTTP/1.1\r\n\r\n"));
  CHECK(forward.kind == Kind::kForward);
  CHECK(forward.used == 0);
  CHECK(forward.port == 80);
  CHECK(ProxyDialog().next(bytes_of("GET / HTTP/1.1\r\nHost: a\r\n\r\n")).reply.starts_with("HTTP/1.1 400 "));
  CHECK(ProxyDialog().next(bytes_of("GET / HTTP/1.1\r\nX: " + std::string(20000, 'x'))).reply.starts_with("HTTP/1.1 431 "));
}
