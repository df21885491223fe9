#include "cli/verbs.h"

#include <seccomp.h>
#include <sys/auxv.h>
#include <sys/utsname.h>

#include "base/text.h"
#include "cli/completion.h"
#include "cli/doctor_verb.h"
#include "cli/exec_verb.h"
#include "cli/message.h"
#include "cli/output.h"
#include "cli/rootfs_verb.h"
#include "cli/sandbox_verbs.h"
#include "cli/seccomp_verb.h"
#include "tables/exit_codes.h"

namespace clawrun::cli {

namespace {

Result<int> help_verb(std::span<char* const> args);

constexpr Verb kVerbs[] = {
    {"exec", "run a command in a fresh sandbox: clawrun exec [OPTIONS] -- COMMAND", nullptr, ""},
    {"list", "show the sandboxes that run", list_verb, ""},
    {"stats", "say what a sandbox has used: memory, processor time, processes, disk", stats_verb, "", Operands::kSandboxes},
    {"update", "change limits of a running sandbox", update_verb, "", Operands::kSandboxes},
    {"pause", "stop all processes of a sandbox where they are", pause_verb, "", Operands::kSandboxes},
    {"resume", "let a paused sandbox go on", resume_verb, "", Operands::kSandboxes},
    {"gc", "remove what sandboxes have left whose clawrun was killed", gc_verb, ""},
    {"doctor", "say what this kernel and this user allow, and what mends the rest", doctor_verb, ""},
    {"rootfs", "list, find and remove root filesystems", rootfs_verb, "list path rm"},
    {"seccomp", "show, compile and test system call filters", seccomp_verb, "list show compile test"},
    {"completion", "print the completions for bash, zsh or fish", completion_verb, "bash zsh fish"},
    {"help", "say more about a verb: clawrun help VERB", help_verb,
     "exec list stats update pause resume gc doctor rootfs seccomp completion"},
};

std::string usage() {
  std::string text =
      "usage: clawrun VERB [ARGUMENTS]\n\nRuns code that nobody should trust in a sandbox made from kernel primitives.\n\n";
  for (const Verb& verb : kVerbs)
    text += "  " + std::string(verb.name) + std::string(12 - verb.name.size(), ' ') + std::string(verb.summary) + "\n";
  return text + "\nFirst try: clawrun exec -- python3 -c 'print(6*7)'\nOptions: --help, --version. Manual: man clawrun\n";
}

Failure unknown_verb(std::string_view word) {
  std::vector<std::string_view> names;
  for (const Verb& verb : kVerbs) names.push_back(verb.name);
  return fail(ErrorKind::kUsage, "there is no verb " + quoted(word) + did_you_mean(word, names) + " (clawrun help lists them)");
}

const Verb* find_verb(std::string_view name) {
  for (const Verb& verb : kVerbs)
    if (verb.name == name) return &verb;
  return nullptr;
}

Result<int> help_verb(std::span<char* const> args) {
  if (args.empty()) {
    TRY(write_out(usage()));
    return 0;
  }
  const Verb* verb = find_verb(args[0]);
  if (verb == nullptr) return unknown_verb(args[0]);
  if (verb->name == "exec") {
    TRY(write_out(exec_help()));
    return 0;
  }
  if (verb->name == "help" || verb->name == "completion") {
    TRY(write_out("usage: clawrun " + std::string(verb->name) + " [" + std::string(verb->words) + "]\n\n" +
                  std::string(verb->summary) + "\n"));
    return 0;
  }
  char help[] = "--help";
  char* const words[] = {help};
  return verb->run(std::span<char* const>(words));
}

std::string version() {
  utsname host{};
  ::uname(&host);
  const scmp_version* library = ::seccomp_version();
  return std::string("clawrun ") + CLAWRUN_VERSION + "\nlibseccomp " + std::to_string(library->major) + "." +
         std::to_string(library->minor) + "." + std::to_string(library->micro) + "\nkernel " + host.release + " " + host.machine +
         "\n";
}

Result<int> dispatch(std::string_view word, std::span<char* const> rest) {
  if (word == "--version" || word == "-V" || word == "--help" || word == "-h") {
    TRY(write_out(word == "--version" || word == "-V" ? version() : usage()));
    return 0;
  }
  if (word == "__options") return options_verb(rest);
  const Verb* verb = find_verb(word);
  if (verb == nullptr) return unknown_verb(word);
  return verb->run(rest);
}

}  // namespace

std::span<const Verb> verbs() {
  return kVerbs;
}

int run(std::span<char* const> args) {
  // Never setuid: a caller must not gain anything by our being started.
  if (::getauxval(AT_SECURE) != 0) {
    write_error("clawrun must not be setuid or carry file capabilities; it needs neither");
    return tables::kExitSetup;
  }
  if (args.empty()) {
    write_error("no verb is given\n" + usage());
    return tables::kExitUsage;
  }
  const std::string_view word = args[0];
  const std::span<char* const> rest = args.subspan(1);
  if (word == "exec") return exec_verb(rest);
  auto result = dispatch(word, rest);
  if (result) return *result;
  write_error((find_verb(word) != nullptr ? std::string(word) + ": " : "") + result.error().message);
  return tables::verb_exit_code(result.error().kind);
}

}  // namespace clawrun::cli
