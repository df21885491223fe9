#include "gateway/sniff.h"

#include <algorithm>

#include "gateway/http_request.h"

namespace clawrun::gateway {

namespace {

using Kind = Sniffed::Kind;

constexpr std::uint8_t kHandshake = 22;
constexpr std::uint8_t kClientHello = 1;
constexpr std::size_t kRecordHeaderBytes = 5;
constexpr std::size_t kMaxRecordBytes = 16384;

Sniffed broken(std::string_view problem) {
  return {Kind::kBroken, {}, problem};
}

// Reads the vectors of TLS's presentation language: RFC 8446, section 3. Past the end everything is empty, and `ok` false.
class Reader {
 public:
  explicit Reader(std::span<const std::uint8_t> bytes) : bytes_(bytes) {}

  std::size_t number(std::size_t width) {
    std::size_t value = 0;
    for (const std::uint8_t byte : take(width)) value = (value << 8U) | byte;
    return value;
  }
  std::span<const std::uint8_t> take(std::size_t size) {
    ok_ = ok_ && size <= bytes_.size();
    if (!ok_) return {};
    const auto taken = bytes_.first(size);
    bytes_ = bytes_.subspan(size);
    return taken;
  }
  std::span<const std::uint8_t> vector(std::size_t width) { return take(number(width)); }
  [[nodiscard]] bool ok() const { return ok_; }
  [[nodiscard]] bool empty() const { return bytes_.empty(); }

 private:
  std::span<const std::uint8_t> bytes_;
  bool ok_ = true;
};

// RFC 6066, section 3: one name of type host_name.
Sniffed server_name(std::span<const std::uint8_t> extension) {
  Reader reader(extension);
  Reader list(reader.vector(2));
  const std::size_t type = list.number(1);
  const auto name = list.vector(2);
  if (!reader.ok() || !reader.empty() || !list.ok() || !list.empty() || type != 0 || name.empty())
    return broken("the server name of its TLS greeting cannot be read");
  return {Kind::kTls, std::string(name.begin(), name.end()), {}};
}

Sniffed client_hello(std::span<const std::uint8_t> body) {
  constexpr std::size_t kVersionAndRandom = 34;
  constexpr std::size_t kServerName = 0;
  Reader reader(body);
  reader.take(kVersionAndRandom);
  reader.vector(1);  // session
  reader.vector(2);  // cipher suites
  reader.vector(1);  // compression
  if (!reader.ok()) return broken("its TLS greeting cannot be read");
  if (reader.empty()) return {Kind::kTls, {}, {}};
  Reader extensions(reader.vector(2));
  Sniffed found{Kind::kTls, {}, {}};
  bool was_found = false;
  while (reader.ok() && extensions.ok() && !extensions.empty()) {
    const std::size_t type = extensions.number(2);
    const auto content = extensions.vector(2);
    if (type != kServerName || !extensions.ok()) continue;
    if (was_found) return broken("its TLS greeting names the server twice");
    was_found = true;
    found = server_name(content);
    if (found.kind == Kind::kBroken) return found;
  }
  if (!reader.ok() || !reader.empty() || !extensions.ok()) return broken("the extensions of its TLS greeting cannot be read");
  return found;
}

bool is_tls(std::span<const std::uint8_t> bytes) {
  return bytes[0] == kHandshake && (bytes.size() < 2 || bytes[1] == 3);
}

}  // namespace

Sniffed sniff_tls(std::span<const std::uint8_t> first_bytes) {
  constexpr std::size_t kMessageHeaderBytes = 4;
  // A handshake message may be spread over records.
  std::string message;
  while (!first_bytes.empty()) {
    if (!is_tls(first_bytes)) return broken("its TLS greeting is cut by other records");
    if (first_bytes.size() < kRecordHeaderBytes) return {};
    const std::size_t size = (std::size_t{first_bytes[3]} << 8U) | first_bytes[4];
    if (size == 0 || size > kMaxRecordBytes) return broken("its TLS greeting has a record of a size that is not allowed");
    const auto content = first_bytes.subspan(kRecordHeaderBytes, std::min(size, first_bytes.size() - kRecordHeaderBytes));
    message.append(content.begin(), content.end());
    first_bytes = first_bytes.subspan(kRecordHeaderBytes + content.size());
    if (message.size() < kMessageHeaderBytes) continue;
    const std::span bytes(reinterpret_cast<const std::uint8_t*>(message.data()), message.size());
    if (bytes[0] != kClientHello) return broken("its first TLS message is no ClientHello");
    Reader reader(bytes.subspan(1));
    const std::size_t length = reader.number(3);
    if (length > kMaxSniffBytes) return broken("its TLS greeting is too long");
    if (const auto body = reader.take(length); reader.ok()) return client_hello(body);
  }
  return {};
}

Sniffed sniff_http(std::span<const std::uint8_t> first_bytes) {
  const HttpHead head = read_http_head({reinterpret_cast<const char*>(first_bytes.data()), first_bytes.size()});
  if (head.state == HttpHead::State::kMore) return {};
  if (head.state == HttpHead::State::kBroken) return broken(head.problem);
  if (head.host.empty()) return broken("its HTTP request has no Host");
  return {Kind::kHttp, head.host, {}};
}

Sniffed sniff(std::span<const std::uint8_t> first_bytes) {
  if (first_bytes.empty()) return {};
  Sniffed found;
  if (is_tls(first_bytes)) {
    found = sniff_tls(first_bytes);
  } else {
    const std::string_view text(reinterpret_cast<const char*>(first_bytes.data()), first_bytes.size());
    const HttpLikeness likeness = looks_like_http(text);
    if (likeness == HttpLikeness::kNo) return {Kind::kOther, {}, {}};
    if (likeness == HttpLikeness::kYes) found = sniff_http(first_bytes);
  }
  if (found.kind == Kind::kMore && first_bytes.size() >= kMaxSniffBytes) return broken("its greeting is too long");
  return found;
}

}  // namespace clawrun::gateway
