// HTTP/1 requests, through http_parser: the head of one, and a stream of them written anew from what was parsed.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace clawrun::gateway {

enum class HttpLikeness : std::uint8_t { kNo, kMaybe, kYes };

// By the first line: any method is HTTP where the line ends in a version; of an unfinished line only the known methods tell.
HttpLikeness looks_like_http(std::string_view first_bytes);

struct HttpHead {
  enum class State : std::uint8_t { kMore, kWhole, kBroken } state = State::kMore;
  std::size_t size = 0;  // in bytes, with the empty line
  enum class Form : std::uint8_t { kOrigin, kAbsolute, kConnect } form = Form::kOrigin;
  std::string host;        // of the target, else of the Host header: without port and brackets
  std::uint16_t port = 0;  // 0: not given
  std::string_view problem;
};

// A target and a Host header that name different hosts, and several Host headers, are broken.
HttpHead read_http_head(std::string_view text);

using HttpHeader = std::pair<std::string, std::string>;

// One client's requests to one host. Nothing passes but what was understood: each request line, each header, each piece of a body
// is written anew, so that no two parsers can see different requests in it. What cannot be: CONNECT and upgrades, which would end
// the parsing; trailers are left out.
class HttpRewriter {
 public:
  enum class Requests : std::uint8_t { kMany, kOne };  // kOne: with `Connection: close`, and nothing after it is read
  struct To {
    std::string host;  // what each Host must be
    std::uint16_t port = 80;
    std::uint16_t default_port = 80;  // of the scheme
    std::string_view scheme = "http";
    std::vector<std::pair<std::string, const std::string*>>
        headers;  // put in place of the client's own ones; the values outlive this
    Requests requests = Requests::kMany;
  };
  explicit HttpRewriter(To to);
  ~HttpRewriter();
  HttpRewriter(HttpRewriter&&) = delete;

  // Appends to `out`, and returns how much of `in` it used: all of it, or up to the end of one request.
  std::size_t feed(std::string_view in, std::string& out);

  [[nodiscard]] std::string_view problem() const;  // "" while there is none; then nothing is read any more
  [[nodiscard]] bool is_done() const;              // with kOne: the request is whole
  [[nodiscard]] bool is_between_requests() const;  // where an end of file is clean

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace clawrun::gateway
