#include "criu/rpc.h"

#include <doctest/doctest.h>

#include "criu/protocol.h"
#include "criu/wire.h"

using namespace clawrun;
using namespace clawrun::criu;

namespace {

std::string records(std::initializer_list<std::string_view> list) {
  std::string text(protocol::kGreeting);
  text += '\0';
  for (const std::string_view record : list) (text += record) += '\0';
  return text;
}

}  // namespace

TEST_CASE("a request becomes the bytes of CRIU's message") {
  const int fds[] = {300, 7};
  const auto request = read_request(
      records({"dump", "images_dir_fd\t0", "pid\t5", "external\tmnt[/a b\n]:/a", "cg_root\t\t/x", "inherit_fd\t1\tpipe:[3]"}),
      fds);
  REQUIRE(request);
  // As protoc encodes it: criu_req{type: DUMP, opts: {…}}.
  CHECK(request->options.starts_with(std::string("\x08\xac\x02\x10\x05\xaa\x02", 7)));
  CHECK(request->options.find("mnt[/a b\n]:/a") != std::string::npos);
  CHECK(request->options.find(std::string("\xca\x01\x04\x12\x02/x", 7)) != std::string::npos);
  CHECK(request->options.find(std::string("\xda\x01\x0c\x0a\x08pipe:[3]\x10\x07", 15)) != std::string::npos);
  CHECK(request_bytes(*request).starts_with(std::string("\x08\x01\x12", 3)));
}

TEST_CASE("a request of another version, without a verb, or with what is unknown is refused") {
  CHECK_FALSE(read_request("", {}));
  CHECK_FALSE(read_request("clawrun-criu 0.0.0" + std::string(1, '\0') + "dump" + std::string(1, '\0'), {}));
  CHECK_FALSE(read_request(records({"pid\t5"}), {}));
  CHECK_FALSE(read_request(records({"dump", "exec_cmd\tsh"}), {}));
  CHECK_FALSE(read_request(records({"dump", "pid\t-5"}), {}));
  CHECK_FALSE(read_request(records({"dump", "images_dir_fd\t0"}), {}));
  CHECK_FALSE(read_request(records({"dump", "pid\t5"}).substr(0, 20), {}));
}

TEST_CASE("answers are read") {
  const auto restored = read_answer(std::string("\x08\x02\x10\x01\x22\x03\x08\xb9\x60", 9));
  REQUIRE(restored);
  CHECK(restored->type == Type::kRestore);
  CHECK(restored->success);
  CHECK(restored->pid == 12345);
  const auto notified = read_answer(std::string("\x08\x06\x10\x01\x2a\x0e\x0a\x0apost-setup\x10\x07", 20));
  REQUIRE(notified);
  CHECK(notified->type == Type::kNotify);
  CHECK(notified->script == "post-setup");
  CHECK(notified->pid == 7);
  const auto refused = read_answer(std::string("\x08\x01\x10\x00\x38\x03\x4a\x02no", 10));
  REQUIRE(refused);
  CHECK_FALSE(refused->success);
  CHECK(refused->error == 3);
  CHECK(refused->words == "no");
}

TEST_CASE("bytes that are no message are refused, at every length") {
  const std::string whole("\x08\x06\x10\x01\x2a\x0e\x0a\x0apost-setup\x10\x07\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 31);
  CHECK_FALSE(read_answer(whole));
  CHECK_FALSE(read_answer(std::string("\x0b\x01", 2)));  // a group, which nobody writes any more
  CHECK_FALSE(read_answer(std::string("\x2a\xff\xff\xff\xff\xff\xff\xff\xff\x7f\x00", 11)));  // longer than everything
  CHECK_FALSE(read_answer(std::string("\x00\x01", 2)));
  for (std::size_t size = 0; size < whole.size(); ++size) (void)read_answer(whole.substr(0, size));
}

TEST_CASE("numbers of every length come back") {
  for (unsigned bit = 0; bit < 64; ++bit) {
    std::string message;
    put_number(message, 63, std::uint64_t{1} << bit);
    Fields fields(message);
    const auto field = fields.next();
    REQUIRE(field);
    REQUIRE(*field);
    CHECK((*field)->number == 63);
    CHECK((*field)->value == std::uint64_t{1} << bit);
    CHECK_FALSE(*fields.next());
  }
}
