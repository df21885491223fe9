#include "gateway/dns_message.h"

#include <doctest/doctest.h>

using namespace clawrun;
using namespace clawrun::gateway;

namespace {

std::vector<std::uint8_t> bytes_of(std::string_view text) {
  return {text.begin(), text.end()};
}

std::vector<std::uint8_t> query(std::string_view name, std::uint8_t type) {
  auto bytes = bytes_of(std::string_view("\x12\x34\x01\0\0\1\0\0\0\0\0\0", 12));
  bytes.insert(bytes.end(), name.begin(), name.end());
  for (const std::uint8_t byte : {std::uint8_t{0}, std::uint8_t{0}, type, std::uint8_t{0}, std::uint8_t{1}})
    bytes.push_back(byte);
  return bytes;
}

}  // namespace

TEST_CASE("a question is read, and answered with one address") {
  const auto message = query("\3aPi\7eXample\3com", 1);
  const auto reading = read_dns_query(message);
  REQUIRE(reading.query);
  CHECK(reading.query->name == "api.example.com");
  CHECK(reading.query->type == 1);
  const auto answer = dns_answer(*reading.query, DnsCode::kNoError, Address::parse("198.18.0.1"), 5);
  CHECK(answer.size() == message.size() + 16);
  CHECK(answer[2] == 0x81);
  CHECK(answer[3] == 0x80);
  CHECK(std::vector<std::uint8_t>(answer.end() - 6, answer.end()) == std::vector<std::uint8_t>{0, 4, 198, 18, 0, 1});
  const auto none = dns_answer(*reading.query, DnsCode::kNoSuchName, {}, 0);
  CHECK(none.size() == message.size());
  CHECK(none[3] == 0x83);
}

TEST_CASE("what is no plain question gets an error or nothing") {
  auto message = query("\1a", 1);
  CHECK(read_dns_query(std::span(message).first(11)).fate == DnsReading::Fate::kDrop);
  for (std::size_t size = 12; size < message.size(); ++size) CHECK_FALSE(read_dns_query(std::span(message).first(size)).query);
  message[2] = 0x80;  // a response, which must not be answered by another
  CHECK(read_dns_query(message).fate == DnsReading::Fate::kDrop);
  message[2] = 0x28;  // an update
  CHECK(read_dns_query(message).problem == DnsCode::kNotImplemented);
  message[2] = 1;
  message[5] = 2;  // two questions
  CHECK_FALSE(read_dns_query(message).query);
  CHECK(dns_error(message, DnsCode::kFormatError).size() == 12);
  CHECK_FALSE(read_dns_query(query("\xc0\x0c", 1)).query);  // a pointer
  CHECK_FALSE(read_dns_query(query("\x40"
                                   "a",
                                   1))
                  .query);
  CHECK_FALSE(read_dns_query(query(std::string(300, '\1'), 1)).query);
}

TEST_CASE("a name that is no host name is nobody's") {
  CHECK(read_dns_query(query("\3a.b\3com", 1)).query->name == "");
  CHECK(read_dns_query(query(std::string_view("\3a\0b\3com", 8), 1)).query->name == "");
  CHECK(read_dns_query(query("", 1)).query->name == "");
}
