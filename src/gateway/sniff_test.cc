#include "gateway/sniff.h"

#include <doctest/doctest.h>
#include <openssl/ssl.h>

using namespace clawrun;
using namespace clawrun::gateway;

using Kind = Sniffed::Kind;

namespace {

Sniffed sniff_text(std::string_view text) {
  return sniff({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
}

// What OpenSSL says first.
std::string client_hello(const char* name) {
  SSL_CTX* context = SSL_CTX_new(TLS_client_method());
  SSL* session = SSL_new(context);
  BIO* in = BIO_new(BIO_s_mem());
  BIO* out = BIO_new(BIO_s_mem());
  SSL_set_bio(session, in, out);
  if (name != nullptr)
    CHECK(SSL_ctrl(session, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, const_cast<char*>(name)) == 1);
  SSL_set_connect_state(session);
  SSL_do_handshake(session);
  char* data = nullptr;
  const long size = BIO_get_mem_data(out, &data);
  std::string hello(data, static_cast<std::size_t>(size));
  SSL_free(session);
  SSL_CTX_free(context);
  return hello;
}

// The same message in records of that many bytes.
std::string in_records(const std::string& hello, std::size_t size) {
  std::string cut;
  for (std::size_t at = 5; at < hello.size(); at += size) {
    const std::string part = hello.substr(at, size);
    cut += hello.substr(0, 3) + static_cast<char>(part.size() >> 8U) + static_cast<char>(part.size()) + part;
  }
  return cut;
}

}  // namespace

TEST_CASE("the server name of a ClientHello of OpenSSL is found, however it is cut") {
  const std::string hello = client_hello("api.example.com");
  const Sniffed found = sniff_text(hello);
  CHECK(found.kind == Kind::kTls);
  CHECK(found.name == "api.example.com");
  for (std::size_t size = 1; size < hello.size(); ++size) CHECK(sniff_text(hello.substr(0, size)).kind == Kind::kMore);
  for (const std::size_t size : {1UL, 3UL, 50UL, 200UL}) CHECK(sniff_text(in_records(hello, size)).name == "api.example.com");
  const Sniffed without = sniff_text(client_hello(nullptr));
  CHECK(without.kind == Kind::kTls);
  CHECK(without.name.empty());
}

TEST_CASE("a broken ClientHello is no other protocol") {
  std::string hello = client_hello("api.example.com");
  const std::size_t at = hello.find("api.example.com");
  for (const std::size_t byte : {std::size_t{5}, at - 1, at - 3, at - 5, at - 7}) {
    std::string wrong = hello;
    wrong[byte] = static_cast<char>(wrong[byte] ^ 0x55);
    CHECK(sniff_text(wrong).kind != Kind::kOther);
    CHECK(sniff_text(wrong).name != "api.example.com");
  }
  CHECK(sniff_text(std::string_view("\x16\x03\x01\x00\x00", 5)).kind == Kind::kBroken);
  CHECK(sniff_text("\x16\x03\x01\x02\x00" + std::string(20, '\2')).kind == Kind::kBroken);
  // A handshake that claims to be long, in small records: refused when the bytes that may be looked at are used up.
  std::string endless;
  while (endless.size() < kMaxSniffBytes) endless += std::string("\x16\x03\x01\x00\x04\x01\x00\x3f\xff", 9);
  CHECK(sniff_text(endless).kind == Kind::kBroken);
}

TEST_CASE("an HTTP request says its Host") {
  CHECK(sniff_text("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n").name == "a.example");
  CHECK(sniff_text("\r\nGET / HTTP/1.1\r\nHost: A.example:80\r\n\r\n").name == "a.example");
  CHECK(sniff_text("GET http://a.example/x HTTP/1.1\r\nHost: a.example\r\n\r\n").name == "a.example");
  for (const char* more : {"G", "GET", "GET /", "GET / HTTP/1.1\r\n", "GET / HTTP/1.1\r\nHost: a\r\n", "P", "PRI * HTTP/2.0"})
    CHECK_MESSAGE(sniff_text(more).kind == Kind::kMore, std::string(more));
  for (const char* bad : {"GET / HTTP/1.1\r\n\r\n", "GET /\r\n\r\n", "FOO / HTTP/1.1\r\nHost: a\r\n\r\n",
                          "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
                          "GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
                          "GET http://a@b/ HTTP/1.1\r\nHost: a\r\n\r\n", "GET / HTTP/1.1\r\nHost : a\r\n\r\n"})
    CHECK_MESSAGE(sniff_text(bad).kind == Kind::kBroken, std::string(bad));
  CHECK(sniff_text("GET / HTTP/1.1\r\nX: " + std::string(20000, 'a')).kind == Kind::kBroken);
}

TEST_CASE("other protocols are left alone") {
  for (const char* other : {"SSH-2.0-x\r\n", "hello", "EHLO a\r\n", "\x01\x02", "PING\r\n"})
    CHECK_MESSAGE(sniff_text(other).kind == Kind::kOther, std::string(other));
  CHECK(sniff({}).kind == Kind::kMore);
}
