#include "cli/oci_options.h"

#include <doctest/doctest.h>

#include <initializer_list>
#include <set>

#include "cli/oci_verbs.h"

namespace clawrun::cli {

namespace {

struct Args {
  std::vector<std::string> storage;
  std::vector<char*> words;

  Args(std::initializer_list<const char*> given) : storage(given.begin(), given.end()) {
    for (std::string& word : storage) words.push_back(word.data());
  }
};

Result<OciWords> read(OciVerb verb, Args args, OptionOrder order = OptionOrder::kAnywhere) {
  // The words point into the arguments, which here live as long as the program.
  static std::vector<Args> kept;
  kept.reserve(1000);
  kept.push_back(std::move(args));
  return read_oci_words(verb, kept.back().words, order);
}

std::string wrong(OciVerb verb, Args args) {
  const auto words = read(verb, std::move(args));
  REQUIRE_FALSE(words);
  CHECK(words.error().kind == ErrorKind::kUsage);
  return words.error().message;
}

bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

}  // namespace

TEST_CASE("OCI options are read in every form that engines use, before and behind the id") {
  for (const Args& args :
       {Args{"--bundle", "/b", "-d", "x"}, Args{"--bundle=/b", "--detach", "x"}, Args{"-bundle", "/b", "x", "-detach"},
        Args{"-bundle=/b", "-d=true", "x"}, Args{"-b", "/b", "-d", "--", "x"}, Args{"x", "-b=/b", "-d=1"},
        Args{"--b", "/a", "-b", "/b", "--detach=false", "--detach", "x"}}) {
    const auto words = read(OciVerb::kRun, args);
    REQUIRE(words);
    CHECK(words->value("bundle") == "/b");
    CHECK(words->on("detach"));
    CHECK(words->operands == std::vector<std::string>{"x"});
  }
}

TEST_CASE("a switch takes Go's words for true and false, and the last one counts") {
  for (const char* off : {"-d=false", "-d=0", "-d=F", "--detach=FALSE"})
    CHECK_FALSE(read(OciVerb::kRun, {"-d", off, "x"})->on("detach"));
  CHECK(read(OciVerb::kRun, {"-d=false", "x"})->has("detach"));
  CHECK(contains(wrong(OciVerb::kRun, {"-d=maybe", "x"}), "invalid boolean value \"maybe\" for -detach"));
  CHECK(contains(wrong(OciVerb::kRun, {"-d=", "x"}), "invalid boolean value"));
  // A word of its own is an operand, never the value of a switch.
  CHECK(read(OciVerb::kRun, {"-d", "false"})->operands.front() == "false");
}

TEST_CASE("values are taken as they stand") {
  CHECK(read(OciVerb::kUpdate, {"--cpu-quota", "-1", "x"})->value("cpu-quota") == "-1");
  CHECK(read(OciVerb::kUpdate, {"-r", "-", "x"})->value("resources") == "-");
  CHECK(read(OciVerb::kCreate, {"--pid-file=", "x"})->value("pid-file").empty());
  CHECK(read(OciVerb::kCreate, {"--pid-file=a=b", "x"})->value("pid-file") == "a=b");
  CHECK(read(OciVerb::kExec, {"-e", "A=1", "--env=B=2", "-e=C"})->all("env") == std::vector<std::string>{"A=1", "B=2", "C"});
  CHECK(read(OciVerb::kExec, {"--process", "--help"})->value("process") == "--help");
  CHECK(read(OciVerb::kKill, {"x", "-"})->operands[1] == "-");
}

TEST_CASE("options of exec and ps end at the id; what follows belongs to another program") {
  const auto words = read(OciVerb::kExec, {"-t", "x", "ls", "-l", "--env", "--"}, OptionOrder::kBeforeOperands);
  REQUIRE(words);
  CHECK(words->operands == std::vector<std::string>{"x", "ls", "-l", "--env", "--"});
  CHECK(words->read == 1);
  CHECK_FALSE(words->has("env"));
  CHECK(read(OciVerb::kPs, {"x", "-ef"}, OptionOrder::kBeforeOperands)->operands[1] == "-ef");
  CHECK(read(OciVerb::kGlobal, {"--root", "/r", "create", "--root"}, OptionOrder::kBeforeOperands)->read == 2);
  CHECK(read(OciVerb::kGlobal, {"--root", "/r"}, OptionOrder::kBeforeOperands)->read == 2);
}

TEST_CASE("letters of switches stand together, letters with a value do not") {
  const auto words = read(OciVerb::kExec, {"-td", "x"});
  REQUIRE(words);
  CHECK(words->on("tty"));
  CHECK(words->on("detach"));
  // It would be -b undel.
  CHECK(
      contains(wrong(OciVerb::kCreate, {"-bundel", "d", "x"}), "flag provided but not defined: -bundel; did you mean --bundle?"));
  CHECK(contains(wrong(OciVerb::kExec, {"-tu", "0", "x"}), "not defined: -tu"));
}

TEST_CASE("what is wrong is told in runc's words") {
  CHECK(contains(wrong(OciVerb::kState, {"--frobnicate", "x"}), "flag provided but not defined: -frobnicate"));
  CHECK(contains(wrong(OciVerb::kCreate, {"x", "--bundle"}), "flag needs an argument: -bundle"));
  CHECK(contains(wrong(OciVerb::kCreate, {"--bund", "d", "x"}), "not defined: -bund"));
  CHECK(contains(wrong(OciVerb::kState, {"-\x1b[2J", "x"}), "\\x1b"));
  CHECK(contains(wrong(OciVerb::kStart, {"--detach", "x"}), "not defined"));
}

TEST_CASE("the table: no verb has a name or a letter twice, and each has --help") {
  for (const char* name : {"create", "start", "state", "kill", "delete", "run", "exec", "ps", "list", "pause", "resume", "update",
                           "stats", "events", "features", "spec", "checkpoint", "restore", "none"}) {
    const OciVerb verb = oci_verb_of(name);
    CHECK((verb == OciVerb::kGlobal) == (std::string_view(name) == "none"));
    std::set<std::string_view> names;
    std::set<char> letters;
    for (const OciOption& option : oci_options()) {
      if ((option.verbs & static_cast<std::uint32_t>(verb)) == 0) continue;
      CHECK_MESSAGE(names.insert(option.name).second, name << " --" << option.name);
      if (option.letter != 0) CHECK_MESSAGE(letters.insert(option.letter).second, name << " -" << option.letter);
      CHECK(option.name.size() > 1);
      CHECK_FALSE(option.help.empty());
    }
    CHECK(names.contains("help"));
    CHECK(find_oci_option(verb, "-h")->name == "help");
    for (const std::string_view option : names) CHECK(contains(oci_option_lines(verb), "--" + std::string(option)));
  }
}

}  // namespace clawrun::cli
