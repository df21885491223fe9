#include "cli/output.h"

#include <doctest/doctest.h>

namespace clawrun::cli {

TEST_CASE("json_quoted gives valid JSON for any bytes") {
  CHECK(json_quoted("") == "\"\"");
  CHECK(json_quoted("a\"b\\c\n\x1b") == "\"a\\\"b\\\\c\\u000a\\u001b\"");
  CHECK(json_quoted("gr\xc3\xbc\xc3\x9f") == "\"gr\xc3\xbc\xc3\x9f\"");
  CHECK(json_quoted("\xf0\x9f\xa6\x80") == "\"\xf0\x9f\xa6\x80\"");
  // Cut short, over-long, a surrogate, beyond the last code point.
  CHECK(json_quoted("\xc3") == "\"\xef\xbf\xbd\"");
  CHECK(json_quoted("\xc0\xaf") == "\"\xef\xbf\xbd\xef\xbf\xbd\"");
  CHECK(json_quoted("\xed\xa0\x80") == "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
  CHECK(json_quoted("\xf4\x90\x80\x80") == "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
}

TEST_CASE("printable keeps a table free of terminal escapes") {
  CHECK(printable("a b") == "a b");
  CHECK(printable("\x1b[31mred\x7f") == "?[31mred?");
}

}  // namespace clawrun::cli
