#include "gateway/request.h"

#include <doctest/doctest.h>

using namespace clawrun;
using namespace clawrun::gateway;

namespace {

std::string with(const std::string& members) {
  return R"({"sandbox":"s","sockets":{"tcp":[4,5]},"events":6,"lifeline":7)" + members + "}";
}

std::string problem(const std::string& json) {
  const auto request = parse_request(json);
  return request ? "" : request.error().message;
}

}  // namespace

TEST_CASE("a request is read") {
  const auto request =
      parse_request(with(R"(,"allow":[{"host":"*.example.com","ports":[[443,443],[1,5]],"protocol":"udp","rule":"as given"}],
    "synthetic4":"198.18.0.0/16","resolvers":["192.0.2.1:53","[2001:db8::1]:5353"],"limits":{"connections":7,"max_bytes":9},
    "inject":[{"host":"a.example","header":"X-Key","credential":"K","tls":true}],"credentials":{"K":8},"ca":{"cert_fd":9,"key_fd":10})"));
  REQUIRE(request);
  CHECK(request->allow.size() == 1);
  CHECK(request->allow[0].protocol == Protocol::kUdp);
  CHECK(request->resolvers[1].port == 5353);
  CHECK(request->limits.connections == 7);
  CHECK(request->descriptors() == std::vector<int>{6, 7, 4, 5, 8, 9, 10});
}

TEST_CASE("what is wrong in a request is said") {
  CHECK(problem("{") != "");
  CHECK(problem("{}") == "sandbox: is missing; it must be the sandbox's name");
  CHECK(problem(with(R"(,"extra":1)")).find("extra") == 0);
  CHECK(problem(with(R"(,"allow":[{"host":"a b","ports":[[1,1]]}])")).find("allow[0].host") == 0);
  CHECK(problem(with(R"(,"allow":[{"host":"a","ports":[]}])")).find("allow[0].ports") == 0);
  CHECK(problem(with(R"(,"allow":[{"host":"a","ports":[[2,1]]}])")).find("allow[0].ports[0]") == 0);
  CHECK(problem(with(R"(,"allow":[{"host":"a","ports":[[0,1]]}])")).find("allow[0].ports[0][0]") == 0);
  CHECK(problem(with(R"(,"inject":[{"host":"a","header":"X","credential":"K"}])")) == "inject: there is no credential \"K\"");
  CHECK(problem(with(R"(,"inject":[{"host":"a","header":"X: y\r\nZ","credential":"K"}],"credentials":{"K":8})"))
            .find("inject[0].header") == 0);
  CHECK(problem(with(R"(,"inject":[{"host":"a","header":"X","credential":"K","tls":true}],"credentials":{"K":8})")) ==
        "inject: tls needs a ca");
  CHECK(problem(with(R"(,"credentials":{"K":6})")) == "a descriptor is named twice");
  CHECK(problem(with(R"(,"credentials":{"K":2})")) == "descriptors from 0 to 3 are taken");
}
