#include "gateway/http_request.h"

#include <http_parser.h>

#include <algorithm>
#include <cstdio>
#include <optional>

#include "base/text.h"
#include "gateway/rules.h"

namespace clawrun::gateway {

namespace {

constexpr std::size_t kMaxHeadBytes = 65536;
constexpr std::size_t kMaxHeaders = 256;

constexpr std::string_view kMethods[] = {
#define METHOD_NAME(number, name, string) #string,
    HTTP_METHOD_MAP(METHOD_NAME)
#undef METHOD_NAME
};

bool equals_ignoring_case(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
  return std::ranges::equal(a, b, {}, lower, lower);
}

std::string_view without_blanks(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// RFC 9110, section 5.6.2.
bool is_token_byte(char c) {
  const bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  return is_letter || (c >= '0' && c <= '9') || std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

bool is_target_byte(char c) {
  return static_cast<unsigned char>(c) > 0x20 && c != 0x7f;
}

// Of a Host header or the authority of a target.
struct Authority {
  std::string host;
  std::uint16_t port = 0;
};

std::optional<Authority> read_authority(std::string_view text) {
  Authority authority;
  std::size_t end = text.find(':');
  if (text.starts_with('[')) {
    end = text.find(']');
    if (end == std::string_view::npos) return std::nullopt;
    authority.host = text.substr(1, end - 1);
    const auto address = Address::parse(authority.host);
    if (!address) return std::nullopt;
    authority.host = address->text();
    ++end;
  } else {
    const auto name = canonical_name(text.substr(0, end));
    if (!name) return std::nullopt;
    authority.host = *name;
    if (end == std::string_view::npos) end = text.size();
  }
  if (end == text.size()) return authority;
  const auto port = parse_unsigned(text.substr(end + 1), UINT16_MAX);
  if (text[end] != ':' || !port || *port == 0) return std::nullopt;
  authority.port = static_cast<std::uint16_t>(*port);
  return authority;
}

// What a request's head says, as http_parser calls back.
struct Head {
  std::string target;
  std::vector<HttpHeader> headers;
  std::size_t size = 0;
  enum class Last : std::uint8_t { kNone, kName, kValue } last = Last::kNone;
  std::string_view problem;

  // 0 goes on, as http_parser has it.
  int add(std::size_t bytes) {
    size += bytes;
    if (size > kMaxHeadBytes || headers.size() > kMaxHeaders) problem = "the head of its HTTP request is too long";
    return problem.empty() ? 0 : 1;
  }
  int add_target(std::string_view text) {
    if (!std::ranges::all_of(text, is_target_byte)) return fail("the target of an HTTP request has bytes that no URL has");
    target += text;
    return add(text.size());
  }
  int add_name(std::string_view text) {
    // http_parser lets "Transfer-Encoding : chunked" pass as a header of an unknown name; the host may know it.
    if (!std::ranges::all_of(text, is_token_byte)) return fail("the name of a header of an HTTP request is no token");
    if (last != Last::kName) headers.emplace_back();
    last = Last::kName;
    headers.back().first += text;
    return add(text.size());
  }
  int add_value(std::string_view text) {
    last = Last::kValue;
    headers.back().second += text;
    return add(text.size());
  }
  int fail(std::string_view what) {
    problem = what;
    return 1;
  }
  // The one Host; the problem is said where there are more.
  const std::string* host() {
    const std::string* found = nullptr;
    for (const auto& [name, value] : headers) {
      if (!equals_ignoring_case(name, "host")) continue;
      if (found != nullptr) problem = "its HTTP request has two Hosts";
      found = &value;
    }
    return found;
  }
};

// The authority and the rest of an absolute target.
struct AbsoluteTarget {
  Authority authority;
  std::string scheme;
  std::string path;
};

std::optional<AbsoluteTarget> read_absolute(std::string_view target) {
  const std::size_t colon = target.find("://");
  if (colon == std::string_view::npos) return std::nullopt;
  AbsoluteTarget absolute;
  for (const char c : target.substr(0, colon)) absolute.scheme += static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
  const std::string_view rest = target.substr(colon + 3);
  const std::size_t end = std::min(rest.find_first_of("/?#"), rest.size());
  // A user name in it ("http://allowed@other/") is no part of a host, and fails as one.
  const auto authority = read_authority(rest.substr(0, end));
  if (!authority || absolute.scheme.empty()) return std::nullopt;
  absolute.authority = *authority;
  absolute.path = rest.substr(end);
  if (!absolute.path.starts_with('/')) absolute.path.insert(0, "/");
  return absolute;
}

bool is_clean_value(std::string_view value) {
  return std::ranges::none_of(value, [](char c) { return (static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7f; });
}

template <typename Owner>
struct Callbacks {
  static Owner& of(http_parser* parser) { return *static_cast<Owner*>(parser->data); }
  template <int (Head::*kMember)(std::string_view)>
  static int data(http_parser* parser, const char* at, std::size_t size) {
    return (of(parser).head.*kMember)({at, size});
  }
  static http_parser_settings settings() {
    http_parser_settings settings;
    http_parser_settings_init(&settings);
    settings.on_url = data<&Head::add_target>;
    settings.on_header_field = data<&Head::add_name>;
    settings.on_header_value = data<&Head::add_value>;
    return settings;
  }
};

struct HeadReading {
  Head head;
  bool is_whole = false;
  bool is_connect = false;

  static int on_headers_complete(http_parser* parser) {
    auto& reading = Callbacks<HeadReading>::of(parser);
    reading.is_whole = true;
    reading.is_connect = parser->method == HTTP_CONNECT;
    return 2;  // neither a body nor another request: parsing ends at the empty line
  }
};

HttpHead broken(std::string_view problem) {
  HttpHead head;
  head.state = HttpHead::State::kBroken;
  head.problem = problem.empty() ? "its HTTP request cannot be read" : problem;
  return head;
}

HttpHead interpret(HeadReading& reading) {
  HttpHead head;
  head.state = HttpHead::State::kWhole;
  const std::string* host = reading.head.host();
  if (!reading.head.problem.empty()) return broken(reading.head.problem);
  std::optional<Authority> named;
  if (host != nullptr && !(named = read_authority(without_blanks(*host))))
    return broken("the Host of its HTTP request is no host");
  if (reading.is_connect) {
    head.form = HttpHead::Form::kConnect;
    named = read_authority(reading.head.target);
    if (!named || named->port == 0) return broken("the target of its CONNECT is not HOST:PORT");
  } else if (!reading.head.target.starts_with('/') && reading.head.target != "*") {
    head.form = HttpHead::Form::kAbsolute;
    const auto absolute = read_absolute(reading.head.target);
    if (!absolute || absolute->scheme != "http") return broken("the target of its HTTP request is no http:// URL");
    if (named && named->host != absolute->authority.host) return broken("the target and the Host of its HTTP request differ");
    named = absolute->authority;
  }
  if (named) {
    head.host = named->host;
    head.port = named->port;
  }
  return head;
}

}  // namespace

HttpLikeness looks_like_http(std::string_view text) {
  while (text.starts_with('\r') || text.starts_with('\n')) text.remove_prefix(1);
  const std::size_t end = text.find('\n');
  const std::string_view line = text.substr(0, end);
  const std::size_t blank = line.find(' ');
  const std::string_view word = line.substr(0, blank);
  const bool is_method = std::ranges::any_of(kMethods, [&](std::string_view method) {
    return blank == std::string_view::npos ? method.starts_with(word) : method == word;
  });
  if (end == std::string_view::npos) return is_method || word == "PRI" ? HttpLikeness::kMaybe : HttpLikeness::kNo;
  const bool has_version = line.find(" HTTP/") != std::string_view::npos;
  return has_version || (is_method && blank != std::string_view::npos) ? HttpLikeness::kYes : HttpLikeness::kNo;
}

HttpHead read_http_head(std::string_view text) {
  http_parser_settings settings = Callbacks<HeadReading>::settings();
  settings.on_headers_complete = HeadReading::on_headers_complete;
  HeadReading reading;
  http_parser parser;
  http_parser_init(&parser, HTTP_REQUEST);
  parser.data = &reading;
  const std::size_t used = http_parser_execute(&parser, &settings, text.data(), text.size());
  if (!reading.is_whole) return HTTP_PARSER_ERRNO(&parser) == HPE_OK ? HttpHead{} : broken(reading.head.problem);
  HttpHead head = interpret(reading);
  head.size = used;
  return head;
}

struct HttpRewriter::State {
  explicit State(To&& whom) : to(std::move(whom)) {
    http_parser_init(&parser, HTTP_REQUEST);
    parser.data = this;
    settings = Callbacks<State>::settings();
    settings.on_message_begin = [](http_parser* p) { return of(p).begin(); };
    settings.on_headers_complete = [](http_parser* p) { return of(p).write_head(); };
    settings.on_body = [](http_parser* p, const char* at, std::size_t size) { return of(p).write_body({at, size}); };
    settings.on_message_complete = [](http_parser* p) { return of(p).finish(); };
  }
  static State& of(http_parser* p) { return Callbacks<State>::of(p); }

  int begin() {
    head = {};
    is_inside = true;
    return 0;
  }
  [[nodiscard]] bool is_dropped(std::string_view name) const;
  // "" with head.problem set where the target is not one of this host.
  std::string path();
  int write_head();
  int write_body(std::string_view bytes);
  int finish();

  To to;
  http_parser parser{};
  http_parser_settings settings{};
  Head head;
  std::string* out = nullptr;
  bool is_inside = false;
  bool is_done = false;
};

bool HttpRewriter::State::is_dropped(std::string_view name) const {
  // Those that are written anew, and those of one hop: RFC 9110, section 7.6.1.
  constexpr std::string_view kOwn[] = {"host",           "connection", "keep-alive", "proxy-connection",  "proxy-authorization",
                                       "content-length", "te",         "trailer",    "transfer-encoding", "upgrade",
                                       "http2-settings"};
  const auto is_it = [&](std::string_view own) { return equals_ignoring_case(own, name); };
  return std::ranges::any_of(kOwn, is_it) ||
         std::ranges::any_of(to.headers, is_it, [](const auto& h) { return std::string_view(h.first); });
}

std::string HttpRewriter::State::path() {
  if (head.target.starts_with('/') || (head.target == "*" && parser.method == HTTP_OPTIONS)) return head.target;
  const auto absolute = read_absolute(head.target);
  if (!absolute || absolute->scheme != to.scheme || absolute->authority.host != to.host ||
      (absolute->authority.port != 0 ? absolute->authority.port : to.default_port) != to.port) {
    head.problem = "the target of an HTTP request is not on this host";
    return {};
  }
  return absolute->path;
}

int HttpRewriter::State::write_head() {
  constexpr int kNoBodyWanted = -1;  // http_parser takes anything but 0, 1 and 2 for an error
  const std::string* host = head.host();
  const auto named = host != nullptr ? read_authority(without_blanks(*host)) : std::nullopt;
  if (head.problem.empty() && (parser.upgrade != 0 || parser.method == HTTP_CONNECT))
    head.problem = "CONNECT and upgrades are not possible where headers are put in";
  if (head.problem.empty() && (parser.http_major != 1 || parser.http_minor > 1))
    head.problem = "its HTTP version is not 1.0 or 1.1";
  if (head.problem.empty() && (!named || named->host != to.host)) head.problem = "the Host of an HTTP request is another";
  const std::string target = head.problem.empty() ? path() : std::string();
  if (!head.problem.empty()) return kNoBodyWanted;
  *out += http_method_str(static_cast<http_method>(parser.method));
  *out += " " + target + " HTTP/1." + std::to_string(parser.http_minor) + "\r\nHost: ";
  *out += to.host.find(':') == std::string::npos ? to.host : "[" + to.host + "]";
  if (to.port != to.default_port) *out += ":" + std::to_string(to.port);
  *out += "\r\n";
  for (const auto& [name, value] : head.headers) {
    if (is_dropped(name)) continue;
    if (!is_clean_value(value)) return head.fail("a header of an HTTP request has control characters"), kNoBodyWanted;
    *out += name + ": " + std::string(without_blanks(value)) + "\r\n";
  }
  for (const auto& [name, value] : to.headers) *out += name + ": " + *value + "\r\n";
  if ((parser.flags & F_CHUNKED) != 0)
    *out += "Transfer-Encoding: chunked\r\n";
  else if ((parser.flags & F_CONTENTLENGTH) != 0)
    *out += "Content-Length: " + std::to_string(parser.content_length) + "\r\n";
  if (to.requests == Requests::kOne || http_should_keep_alive(&parser) == 0)
    *out += "Connection: close\r\n";
  else if (parser.http_minor == 0)
    *out += "Connection: keep-alive\r\n";
  *out += "\r\n";
  return 0;
}

int HttpRewriter::State::write_body(std::string_view bytes) {
  if ((parser.flags & F_CHUNKED) == 0) {
    *out += bytes;
    return 0;
  }
  char size[2 * sizeof bytes.size() + 3];
  *out += std::string_view(size, static_cast<std::size_t>(std::snprintf(size, sizeof size, "%zx\r\n", bytes.size())));
  *out += bytes;
  *out += "\r\n";
  return 0;
}

int HttpRewriter::State::finish() {
  if ((parser.flags & F_CHUNKED) != 0) *out += "0\r\n\r\n";
  is_inside = false;
  is_done = to.requests == Requests::kOne;
  // Stops here, so that what one call appends is bounded by what it was given and one head.
  http_parser_pause(&parser, 1);
  return 0;
}

HttpRewriter::HttpRewriter(To to) : state_(std::make_unique<State>(std::move(to))) {}
HttpRewriter::~HttpRewriter() = default;

std::size_t HttpRewriter::feed(std::string_view in, std::string& out) {
  if (!state_->head.problem.empty() || state_->is_done || in.empty()) return 0;
  state_->out = &out;
  const std::size_t before = out.size();
  http_parser& parser = state_->parser;
  const std::size_t used = http_parser_execute(&parser, &state_->settings, in.data(), in.size());
  if (HTTP_PARSER_ERRNO(&parser) == HPE_PAUSED) {
    http_parser_pause(&parser, 0);
    return used;
  }
  if (HTTP_PARSER_ERRNO(&parser) == HPE_OK && parser.upgrade == 0) return used;
  if (state_->head.problem.empty()) state_->head.problem = "an HTTP request cannot be read";
  out.resize(before);
  return used;
}

std::string_view HttpRewriter::problem() const {
  return state_->head.problem;
}
bool HttpRewriter::is_done() const {
  return state_->is_done;
}
bool HttpRewriter::is_between_requests() const {
  return !state_->is_inside;
}

}  // namespace clawrun::gateway
