#include "supervise/capture.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <unistd.h>

#include "supervise/relay.h"
#include "supervise/watches.h"
#include "sys/sys.h"

using namespace clawrun;
using namespace clawrun::supervise;

namespace {

// A pipe whose reading end does not block, with `text` in it.
sys::Ends filled(std::string_view text) {
  sys::Ends ends = std::move(*sys::pipe());
  REQUIRE(::fcntl(ends.first.get(), F_SETFL, O_NONBLOCK) == 0);
  REQUIRE(sys::write_all(ends.second.get(), text));
  return ends;
}

}  // namespace

TEST_CASE("a capture keeps as much as it may, and reads the rest") {
  sys::Ends ends = filled("0123456789");
  Capture capture(ends.first.get(), 4);
  CHECK(capture.advance());
  CHECK(capture.bytes() == "0123");
  CHECK(capture.lost_bytes() == 6);
  CHECK(capture.fd() >= 0);
  REQUIRE(sys::write_all(ends.second.get(), "more"));
  ends.second.reset();
  CHECK(capture.advance());
  CHECK(capture.lost_bytes() == 10);
  CHECK(capture.fd() == -1);
}

TEST_CASE("a relay passes on as much as it may, and reads the rest") {
  sys::Ends from = filled("0123456789");
  sys::Ends to = filled("");
  Relay relay(from.first.get(), to.second.get(), 4);
  CHECK_FALSE(relay.advance(POLLIN));
  CHECK(relay.pending());
  CHECK_FALSE(relay.advance(POLLOUT));
  REQUIRE(sys::write_all(from.second.get(), "more"));
  from.second.reset();
  CHECK_FALSE(relay.advance(POLLIN));
  CHECK_FALSE(relay.pending());
  CHECK(relay.advance(POLLIN));
  CHECK(relay.lost_bytes() == 10);
  char buffer[16];
  CHECK(::read(to.first.get(), buffer, sizeof buffer) == 4);
}

TEST_CASE("a watch waits for one descriptor at a time") {
  Watches watches = std::move(*Watches::open());
  sys::Ends first = filled("x");
  sys::Ends second = filled("");
  const auto taken = [&] {
    int count = 0;
    watches.take([&](Watched which, std::uint32_t) { count += which == Watched::kOutput ? 1 : 100; });
    return count;
  };
  REQUIRE(watches.want(Watched::kOutput, first.first.get(), EPOLLIN));
  CHECK(taken() == 1);
  REQUIRE(watches.want(Watched::kOutput, second.first.get(), EPOLLIN));
  CHECK(taken() == 0);
  second.second.reset();
  CHECK(taken() == 1);
  REQUIRE(watches.want(Watched::kOutput, -1, 0));
  CHECK(taken() == 0);
  const UniqueFd file(::open("/dev/null", O_WRONLY | O_CLOEXEC));
  CHECK(watches.want(Watched::kOutput, file.get(), EPOLLOUT).error().errno_value == EPERM);
}
