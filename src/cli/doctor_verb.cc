#include "cli/doctor_verb.h"

#include <string>
#include <string_view>

#include "base/text.h"
#include "cli/output.h"
#include "host/doctor.h"

namespace clawrun::cli {

namespace {

constexpr std::string_view kWords[] = {"--json", "--help", "-h"};

constexpr std::string_view kHelp =
    "Usage: clawrun doctor [--json]\n"
    "\n"
    "Tries what a sandbox needs on this host, and says for each thing what was found, what\n"
    "is lost without it, and the one command or setting that mends it. Changes nothing.\n"
    "\n"
    "  --json   one JSON object: clawrun, kernel, checks[], verdict\n"
    "  --help   this text\n"
    "\n"
    "Exit status: 0 if `clawrun exec` works here, 1 if it cannot. See clawrun-doctor(1).\n";

}  // namespace

Result<int> doctor_verb(std::span<char* const> args) {
  bool json = false;
  for (const std::string_view word : args) {
    if (word == "--help" || word == "-h") {
      TRY(write_out(kHelp));
      return 0;
    }
    if (word != "--json") {
      return fail(ErrorKind::kUsage, quoted(word) + " is not an option; allowed is --json" + did_you_mean(word, kWords));
    }
    json = true;
  }
  const std::vector<host::Check> checks = host::diagnose();
  TRY(write_out(json ? host::to_json(checks) : host::to_text(checks)));
  return host::verdict_of(checks) == host::Verdict::kUnable ? 1 : 0;
}

}  // namespace clawrun::cli
