#include "gateway/http_request.h"

#include <doctest/doctest.h>

using namespace clawrun::gateway;

namespace {

const std::string kSecret = "Bearer secret";

HttpRewriter::To to_example(HttpRewriter::Requests requests = HttpRewriter::Requests::kMany) {
  HttpRewriter::To to;
  to.host = "a.example";
  to.headers = {{"Authorization", &kSecret}};
  to.requests = requests;
  return to;
}

struct Written {
  std::string text;
  std::string problem;
};

// In pieces of `size` bytes, as they may come.
Written rewrite(std::string_view in, std::size_t size, HttpRewriter::To to = to_example()) {
  HttpRewriter rewriter(std::move(to));
  std::string out;
  while (!in.empty() && rewriter.problem().empty() && !rewriter.is_done()) {
    std::string_view piece = in.substr(0, size);
    in.remove_prefix(piece.size());
    while (!piece.empty() && rewriter.problem().empty() && !rewriter.is_done()) piece.remove_prefix(rewriter.feed(piece, out));
  }
  return {out, std::string(rewriter.problem())};
}

}  // namespace

TEST_CASE("every request of a connection gets the header, and only the gateway's") {
  const std::string in =
      "GET /x?y HTTP/1.1\r\nHost: a.example\r\nauthorization: mine\r\nAccept: */*\r\n\r\n"
      "POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 3\r\n\r\nabc";
  const std::string out =
      "GET /x?y HTTP/1.1\r\nHost: a.example\r\nAccept: */*\r\nAuthorization: Bearer secret\r\n\r\n"
      "POST / HTTP/1.1\r\nHost: a.example\r\nAuthorization: Bearer secret\r\nContent-Length: 3\r\n\r\nabc";
  for (const std::size_t size : {1UL, 7UL, 1000UL}) CHECK(rewrite(in, size).text == out);
}

TEST_CASE("chunks are written anew, without trailers") {
  const std::string in =
      "POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nEvil: "
      "1\r\n\r\nGET /2 HTTP/1.1\r\nHost: "
      "a.example\r\n\r\n";
  CHECK(rewrite(in, 1000).text ==
        "POST / HTTP/1.1\r\nHost: a.example\r\nAuthorization: Bearer secret\r\nTransfer-Encoding: "
        "chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
        "GET /2 HTTP/1.1\r\nHost: a.example\r\nAuthorization: Bearer secret\r\n\r\n");
}

TEST_CASE("what two parsers could read differently does not pass") {
  for (const char* bad : {
           "POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
           "POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
           "POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: +3\r\n\r\nabc",
           "POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
           "POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
           "GET / HTTP/1.1\r\nHost: b.example\r\n\r\n",
           "GET / HTTP/1.1\r\n\r\n",
           "GET / HTTP/1.1\r\nHost: a.example\r\nHost: a.example\r\n\r\n",
           "GET http://b.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n",
           "GET http://a.example:81/ HTTP/1.1\r\nHost: a.example\r\n\r\n",
           "CONNECT a.example:80 HTTP/1.1\r\nHost: a.example\r\n\r\nGET / HTTP/1.1\r\n\r\n",
           "GET / HTTP/1.1\r\nHost: a.example\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nGET /evil HTTP/1.1\r\n\r\n",
           "GET / HTTP/1.1\r\nHost: a.example\r\nX: a\rb\r\n\r\n",
           "GET / HTTP/2.0\r\nHost: a.example\r\n\r\n",
           "GET / HTTP/1.2\r\nHost: a.example\r\n\r\n",
           "GET / HTTP/1.1\nHost: a.example\nX\x01: b\n\n",
       }) {
    const Written written = rewrite(bad, 1000);
    CHECK_MESSAGE(!written.problem.empty(), std::string(bad));
    CHECK(written.text.find("evil") == std::string::npos);
  }
  CHECK_FALSE(rewrite("GET / HTTP/1.1\r\nHost: a.example\r\nX: " + std::string(70000, 'a') + "\r\n\r\n", 4096).problem.empty());
}

TEST_CASE("a folded header is one line, or refused") {
  const Written written = rewrite("GET / HTTP/1.1\r\nHost: a.example\r\nX: a\r\n b: c\r\n\r\n", 1000);
  CHECK(written.text.find("\r\n b") == std::string::npos);
  CHECK(written.text.find("\r\nb:") == std::string::npos);
}

TEST_CASE("the one request of a proxy ends the connection, and has a path") {
  const Written written = rewrite(
      "GET http://a.example/x HTTP/1.1\r\nHost: a.example\r\nProxy-Connection: keep-alive\r\n\r\nGET http://b/ HTTP/1.1\r\n\r\n",
      1000, to_example(HttpRewriter::Requests::kOne));
  CHECK(written.text == "GET /x HTTP/1.1\r\nHost: a.example\r\nAuthorization: Bearer secret\r\nConnection: close\r\n\r\n");
}

TEST_CASE("the head of a request: its form, host, port and size") {
  const std::string connect = "CONNECT a.example:443 HTTP/1.1\r\nHost: other\r\n\r\n";
  const HttpHead head = read_http_head(connect + "\x16\x03");
  CHECK(head.form == HttpHead::Form::kConnect);
  CHECK(head.host == "a.example");
  CHECK(head.port == 443);
  CHECK(head.size == connect.size());
  CHECK(read_http_head("CONNECT [::1]:443 HTTP/1.1\r\n\r\n").host == "::1");
  CHECK(read_http_head("CONNECT a.example HTTP/1.1\r\n\r\n").state == HttpHead::State::kBroken);
  CHECK(read_http_head("GET http://a.example:81/x HTTP/1.1\r\n\r\n").port == 81);
  CHECK(read_http_head("GET ftp://a.example/x HTTP/1.1\r\n\r\n").state == HttpHead::State::kBroken);
  CHECK(read_http_head("GET / HT").state == HttpHead::State::kMore);
}
