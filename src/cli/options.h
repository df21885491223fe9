// The options of `exec`: the settings of spec/settings.h and the few that concern only the command line.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "spec/settings.h"
#include "spec/spec.h"

namespace clawrun::cli {

// How `exec` itself behaves, beyond the sandbox.
struct ExecArguments {
  spec::SandboxSpec spec;
  std::vector<std::string> profiles;  // --profile, in order
  std::string report;                 // a file, "fd:N", or "" for none
  std::optional<std::string> bundle;  // a directory to make instead of running anything
  bool dry_run = false;
  bool quiet = false;
  bool verbose = false;
  bool help = false;
};

struct OptionRow {
  std::string_view name;
  std::string_view metavar;  // "" where it takes no value
  spec::Section section;
  std::string_view help;
};

// All of them, in the order of --help.
std::vector<OptionRow> exec_options();

// `args` are the words after `exec`; getopt_long_only(3) reads them: --f v, --f=v, -f v, repeats. What stands after -- is the
// command. Profiles have been applied below the flags when it returns.
Result<ExecArguments> parse_exec(std::span<char* const> args);

}  // namespace clawrun::cli
