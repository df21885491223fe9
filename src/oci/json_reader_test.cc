#include "oci/json_reader.h"

#include <doctest/doctest.h>

namespace clawrun::oci {

namespace {

constexpr std::size_t kLimit = 1U << 20U;

std::string error_of(std::string_view json) {
  const auto document = JsonDocument::parse(json, kLimit);
  return document ? "" : document.error().message;
}

// The only member of an object that is the text.
JsonValue only(const JsonDocument& document) {
  return *document.root().object()->find("m");
}

template <typename T, typename... Range>
std::string read_error(const std::string& value, Range... range) {
  const auto document = JsonDocument::parse(R"({"m":)" + value + "}", kLimit);
  REQUIRE(document);
  T target{};
  const auto result = read(only(*document), target, range...);
  return result ? "" : result.error().message;
}

template <typename T>
T read_value(const std::string& value) {
  const auto document = JsonDocument::parse(R"({"m":)" + value + "}", kLimit);
  REQUIRE(document);
  T target{};
  REQUIRE(read(only(*document), target));
  return target;
}

}  // namespace

TEST_CASE("oci json: a mistake in the text is found by line and column") {
  CHECK(error_of("") == "not JSON: a mistake in line 1, column 1, where the text ends");
  CHECK(error_of("{") == "not JSON: a mistake in line 1, column 2, where the text ends");
  CHECK(error_of("{\n  \"a\": 1,\n  oops\n}") == "not JSON: a mistake in line 3, column 3");
  CHECK(error_of("{} x") == "not JSON: a mistake in line 1, column 4");
  CHECK(error_of("{}{}") != "");
  CHECK(error_of("[1,]") != "");
  CHECK(error_of("{\"a\":01}") != "");
  CHECK(error_of("// no\n{}") != "");
  CHECK(error_of("NaN") != "");
  CHECK(error_of("{'a':1}") != "");
  CHECK(error_of(std::string_view("{}\0", 3)) == "not JSON: a mistake in line 1, column 3");
  CHECK(error_of(std::string_view("{\n\0 hidden}", 11)) == "not JSON: a mistake in line 2, column 1");
  CHECK(error_of("{\"a\":1" + std::string(500, '0') + "}") != "");  // no double can hold it
}

TEST_CASE("oci json: text that is not UTF-8 is refused") {
  CHECK(error_of("\"\xff\"") != "");
  CHECK(error_of("\"\xc0\x80\"") != "");          // overlong NUL
  CHECK(error_of("\"\xed\xa0\x80\"") != "");      // a surrogate
  CHECK(error_of("\"\xf4\x90\x80\x80\"") != "");  // beyond U+10FFFF
  CHECK(error_of("\"\\ud800\"") != "");           // half of a pair
  CHECK(error_of("\"\\ud83d\\ude00 \xc3\xa9\"") == "");
  CHECK(error_of("\"a\nb\"") != "");  // a raw control character
}

TEST_CASE("oci json: depth, size and number of values are bounded") {
  const auto nested = [](std::size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  CHECK(error_of(nested(kMaxJsonDepth)) == "");
  CHECK(error_of(nested(kMaxJsonDepth + 1)) == "the JSON text nests deeper than 128 levels");
  CHECK(error_of(std::string(kLimit, '[')) == "the JSON text nests deeper than 128 levels");
  std::string objects;
  for (int i = 0; i < 50'000; ++i) objects += "{\"a\":";
  CHECK(error_of(objects) == "the JSON text nests deeper than 128 levels");
  CHECK(error_of(std::string(kLimit + 1, ' ')) == "larger than the largest allowed size, 1m");

  std::string many = "[";
  for (std::size_t i = 0; i < kMaxJsonValues; ++i) many += "0,";
  many += "0]";
  const auto document = JsonDocument::parse(many, many.size());
  REQUIRE_FALSE(document);
  CHECK(document.error().message == "the JSON text has more than 262144 values");
}

TEST_CASE("oci json: numbers are whole and in range") {
  CHECK(read_value<std::uint64_t>("18446744073709551615") == UINT64_MAX);
  CHECK(read_value<std::int64_t>("-9223372036854775808") == INT64_MIN);
  CHECK(read_value<std::int64_t>("9223372036854775807") == INT64_MAX);
  CHECK(read_value<std::uint32_t>("-0") == 0);
  CHECK(read_error<std::uint32_t>("4294967296") == "m: 4294967296 is not a whole number from 0 to 4294967295");
  CHECK(read_error<std::uint32_t>("-1") == "m: -1 is not a whole number from 0 to 4294967295");
  CHECK(read_error<std::uint16_t>("65536") == "m: 65536 is not a whole number from 0 to 65535");
  CHECK(read_error<std::int64_t>("9223372036854775808") ==
        "m: 9223372036854775808 is not a whole number from -9223372036854775808 to 9223372036854775807");
  CHECK(read_error<std::uint64_t>("18446744073709551616") ==
        "m: 18446744073709551616 is not a whole number from 0 to 18446744073709551615");
  CHECK(read_error<std::int32_t>("1.0", -20, 19) == "m: 1.0 is not a whole number from -20 to 19");
  CHECK(read_error<std::int32_t>("1e1", -20, 19) == "m: 1e1 is not a whole number from -20 to 19");
  CHECK(read_error<std::int32_t>("20", -20, 19) == "m: 20 is not a whole number from -20 to 19");
  CHECK(read_error<std::int32_t>("-20", -20, 19) == "");
  CHECK(read_error<std::uint32_t>("\"5\"") == "m: \"5\" is not a whole number from 0 to 4294967295");
  CHECK(read_error<std::uint32_t>("true") == "m: true is not a whole number from 0 to 4294967295");
  CHECK(read_error<std::uint32_t>("[5]") == "m: a list is not a whole number from 0 to 4294967295");
}

TEST_CASE("oci json: every other type is as strict") {
  CHECK(read_error<bool>("1") == "m: 1 is not true or false");
  CHECK(read_error<bool>("\"true\"") == "m: \"true\" is not true or false");
  CHECK(read_error<std::string>("7") == "m: 7 is not a string");
  CHECK(read_error<std::string>("{}") == "m: an object is not a string");
  CHECK(read_error<std::string>(R"("a\u0000b")") == "m: \"a\\x00b\" contains a NUL byte");
  CHECK(read_error<std::vector<std::string>>("\"a\"") == "m: \"a\" is not a list of strings");
  CHECK(read_error<std::vector<std::string>>("[\"a\",null]") == "m[1]: null is not a string");
  CHECK(read_error<std::vector<std::string>>(R"(["a","\u0000"])") == "m[1]: \"\\x00\" contains a NUL byte");
  CHECK(read_error<std::map<std::string, std::string>>("[]") == "m: a list is not an object");
  CHECK(read_error<std::map<std::string, std::string>>(R"({"a.b":1})") == "m[\"a.b\"]: 1 is not a string");
  CHECK(read_error<std::map<std::string, std::string>>(R"({"":"x"})") == "m[\"\"]: an empty key is not allowed");
  CHECK(read_error<std::map<std::string, std::string>>(R"({"\u0000":"x"})") == "m[\"\\x00\"]: the key contains a NUL byte");
  CHECK(read_value<std::vector<std::string>>(R"(["a","","\u00e9"])") == std::vector<std::string>{"a", "", "\xc3\xa9"});
}

TEST_CASE("oci json: the last of two equal keys counts, and null is absent") {
  const auto document = JsonDocument::parse(R"({"m":1,"n":{"x":1},"m":2,"z":null,"y":5,"y":null})", kLimit);
  REQUIRE(document);
  const JsonObject object = *document->root().object();
  std::uint32_t number = 0;
  CHECK(read_member(object, "m", number));
  CHECK(number == 2);
  CHECK_FALSE(object.find("z"));
  CHECK_FALSE(object.find("y"));
  CHECK_FALSE(object.find("none"));
  CHECK(object.require("z", "a number").error().message == "z: is missing; it must be a number");
  std::optional<std::uint32_t> absent;
  CHECK(read_member(object, "z", absent));
  CHECK_FALSE(absent);
  CHECK(read_value<std::map<std::string, std::string>>(R"({"a":"1","b":"2","a":"3","b":null})") ==
        std::map<std::string, std::string>{{"a", "3"}});
}

TEST_CASE("oci json: a path leads to the value, and a message carries no terminal escape and no megabyte") {
  const auto document = JsonDocument::parse(R"({"a":[0,{"b-c":[[],["x"]]}],"d.e":{"\u001b[31m":1}})", kLimit);
  REQUIRE(document);
  const JsonObject root = *document->root().object();
  const JsonValue second = *++root.find("a")->list("things")->elements().begin();
  const JsonValue deep = *++second.object()->find("b-c")->list("things")->elements().begin();
  CHECK((*deep.list("things")->elements().begin()).path() == "a[1].b-c[1][0]");
  CHECK(root.find("d.e")->object()->find("\x1b[31m")->path() == R"(["d.e"]["\x1b[31m"])");
  CHECK(document->root().path().empty());
  CHECK(read_error<bool>('"' + std::string(500'000, 'x') + '"').size() < 200);
  CHECK(read_error<bool>("1" + std::string(300, '0')).size() < 200);

  const auto long_key = JsonDocument::parse("{\"" + std::string(500'000, 'k') + "\":1}", kLimit);
  REQUIRE(long_key);
  CHECK((*long_key->root().object()->members().begin()).path().size() < 200);
}

TEST_CASE("oci json: a document may be moved under its values") {
  auto document = JsonDocument::parse(R"({"m":"some text that is not short"})", kLimit);
  REQUIRE(document);
  const JsonValue value = only(*document);
  const JsonDocument moved = std::move(*document);
  CHECK(*value.text() == "some text that is not short");
}

}  // namespace clawrun::oci
