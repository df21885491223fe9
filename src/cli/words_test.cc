#include "cli/words.h"

#include <doctest/doctest.h>

#include <initializer_list>
#include <string>

namespace clawrun::cli {

namespace {

Result<Words> read(const WordForm& form, std::initializer_list<const char*> given) {
  static std::vector<std::string> storage;
  storage.assign(given.begin(), given.end());
  std::vector<char*> args;
  for (std::string& word : storage) args.push_back(word.data());
  return read_words(form, args);
}

const WordForm kForm = {"try", "ID", "Tries.\n", {{"json", "", "as JSON", 'j'}, {"memory", "SIZE", "how much"}}};
const WordForm kBare = {"bare", "", "Does.\n", {}};

bool mentions(const Result<Words>& words, std::string_view text) {
  REQUIRE_FALSE(words);
  CHECK(words.error().kind == ErrorKind::kUsage);
  return words.error().message.find(text) != std::string::npos;
}

}  // namespace

TEST_CASE("options stand before and behind the operand, in every form that exec takes") {
  for (const auto& given : {std::initializer_list<const char*>{"--memory", "64m", "-j", "x"},
                            {"x", "--memory=64m", "--json"},
                            {"-memory", "64m", "x", "-json"},
                            {"-memory=64m", "-j", "--", "x"}}) {
    const auto words = read(kForm, given);
    REQUIRE(words);
    CHECK(words->operands == std::vector<std::string_view>{"x"});
    CHECK(words->has("json"));
    REQUIRE(words->has("memory"));
    for (const auto& [name, value] : words->options)
      if (name == "memory") CHECK(value == "64m");
  }
  CHECK(read(kForm, {"--memory", "--json", "x"})->options.front().second == "--json");
  CHECK(read(kForm, {"--memory=", "x"})->options.front().second.empty());
  CHECK(read(kForm, {"--", "--json"})->operands.front() == "--json");
  CHECK(read(kForm, {"-"})->operands.front() == "-");
  CHECK(read(kBare, {})->operands.empty());
}

TEST_CASE("help needs nothing else") {
  for (const char* word : {"--help", "-h", "-help"}) CHECK(read(kForm, {word})->has("help"));
  const std::string help = help_of(kForm);
  CHECK(help.starts_with("usage: clawrun try [OPTIONS] ID\n"));
  for (const char* part : {"  --json, -j ", "  --memory SIZE ", "  --help, -h ", "Tries."})
    CHECK(help.find(part) != std::string::npos);
}

TEST_CASE("what is wrong is named, with what was probably meant") {
  CHECK(mentions(read(kForm, {}), "the ID of a sandbox is missing"));
  CHECK(mentions(read(kForm, {"x", "y"}), "unexpected word \"y\""));
  CHECK(mentions(read(kBare, {"y"}), "unexpected word \"y\""));
  CHECK(mentions(read(kForm, {"x", "--memry", "1"}), "did you mean --memory?"));
  CHECK(mentions(read(kForm, {"x", "--mem", "1"}), "unknown option"));
  CHECK(mentions(read(kForm, {"x", "--zzzzzz"}), "clawrun try --help"));
  CHECK(mentions(read(kForm, {"x", "--j"}), "unknown option"));
  CHECK(mentions(read(kForm, {"x", "--json=1"}), "takes no value"));
  CHECK(mentions(read(kForm, {"x", "--memory"}), "wants a value"));
  CHECK(mentions(read(kForm, {"x", "--\x1b[2J"}), "\\x1b"));
}

}  // namespace clawrun::cli
