#include "oci/descriptors.h"

#include <doctest/doctest.h>

using namespace clawrun::oci;

TEST_CASE("descriptors.json comes back as it was") {
  const StandardStreams streams = {"/dev/null", "pipe:[11807]", "/a \"b\"\n"};
  CHECK(descriptors_json({"/dev/null", "pipe:[1]", "pipe:[1]"}) == R"(["/dev/null","pipe:[1]","pipe:[1]"])");
  const auto parsed = parse_descriptors(descriptors_json(streams));
  REQUIRE(parsed);
  CHECK(*parsed == streams);
}

TEST_CASE("what is no array of three names is refused") {
  for (const char* text :
       {"", "{}", "[", R"(["a","b"])", R"(["a","b","c","d"])", R"(["a","b",3])", "[[],[],[]]", R"(["a","b","c\u0000d"])"})
    CHECK_FALSE(parse_descriptors(text));
}
