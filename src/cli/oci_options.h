// The options of the verbs over OCI containers, and of what stands before the verb: one table, and one way to read it.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace clawrun::cli {

// A bit each, so that one row of the table serves several verbs. kGlobal: before the verb.
enum class OciVerb : std::uint32_t {
  kGlobal = 1U << 0U,
  kCreate = 1U << 1U,
  kStart = 1U << 2U,
  kState = 1U << 3U,
  kKill = 1U << 4U,
  kDelete = 1U << 5U,
  kRun = 1U << 6U,
  kExec = 1U << 7U,
  kPs = 1U << 8U,
  kList = 1U << 9U,
  kPause = 1U << 10U,
  kResume = 1U << 11U,
  kUpdate = 1U << 12U,
  kEvents = 1U << 13U,
  kFeatures = 1U << 14U,
  kSpec = 1U << 15U,
  kCheckpoint = 1U << 16U,
  kRestore = 1U << 17U,
  kStats = 1U << 18U,  // clawrun's own: over a container what it is over a sandbox
};

struct OciOption {
  std::uint32_t verbs;  // of OciVerb
  std::string_view name;
  char letter;               // -b, or 0
  std::string_view metavar;  // "": a switch, which takes =true and =false as well
  std::string_view help;
};

// All rows, in the order of --help. --help itself is a row of every verb.
std::span<const OciOption> oci_options();

// The row of this verb for a word such as "--name", "-name", "-n" or "--name=value"; nullptr where there is none.
const OciOption* find_oci_option(OciVerb verb, std::string_view word);

// -td: each letter is a switch of the verb, and there are two or more.
bool are_oci_switches(OciVerb verb, std::string_view word);

struct OciWords {
  std::vector<std::pair<std::string_view, std::string_view>> options;  // name, value; a switch's value is "true" or "false"
  std::vector<std::string> operands;
  std::size_t read = 0;  // with kBeforeOperands: the index of the first operand

  [[nodiscard]] bool has(std::string_view name) const;
  [[nodiscard]] bool on(std::string_view name) const;            // a switch that was given, and last as true
  [[nodiscard]] std::string value(std::string_view name) const;  // the last one; "" where it was not given
  [[nodiscard]] std::vector<std::string> all(std::string_view name) const;
};

// Whether options may stand behind the first operand. Where they may not, what follows it is a command line of another program.
enum class OptionOrder : std::uint8_t { kAnywhere, kBeforeOperands };

// --f v, --f=v, -f v, -f=v, repeats, and -td for the switches -t -d. Whole names only: getopt_long_only(3) would take beginnings,
// and -bundel for -b undel. Errors are of kind kUsage, in runc's words where it has some.
Result<OciWords> read_oci_words(OciVerb verb, std::span<char* const> args, OptionOrder order);

// The lines of --help about the options of a verb.
std::string oci_option_lines(OciVerb verb);

}  // namespace clawrun::cli
