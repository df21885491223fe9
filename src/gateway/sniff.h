// What a client's first bytes say about whom it wants: the server name of a TLS ClientHello, the Host of an HTTP request.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace clawrun::gateway {

// The first bytes are looked at up to here; a greeting that is longer is refused.
inline constexpr std::size_t kMaxSniffBytes = 16384;

struct Sniffed {
  enum class Kind : std::uint8_t {
    kMore,    // not yet to be told
    kOther,   // neither TLS nor HTTP
    kTls,     // `name` is the server's, "" where there is none
    kHttp,    // `name` is the Host without its port
    kBroken,  // TLS or HTTP that cannot be read, or is made to be read in two ways; `problem` says how
  } kind = Kind::kMore;
  std::string name;
  std::string_view problem;
};

// Pure; asked again with more bytes after kMore.
Sniffed sniff(std::span<const std::uint8_t> first_bytes);

Sniffed sniff_tls(std::span<const std::uint8_t> first_bytes);
Sniffed sniff_http(std::span<const std::uint8_t> first_bytes);

}  // namespace clawrun::gateway
