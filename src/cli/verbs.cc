#include "cli/verbs.h"

#include <seccomp.h>
#include <sys/auxv.h>
#include <sys/utsname.h>

#include "base/text.h"
#include "cli/completion.h"
#include "cli/doctor_verb.h"
#include "cli/exec_verb.h"
#include "cli/message.h"
#include "cli/oci_verbs.h"
#include "cli/output.h"
#include "cli/rootfs_verb.h"
#include "cli/sandbox_verbs.h"
#include "cli/seccomp_verb.h"
#include "oci/spec.h"
#include "tables/exit_codes.h"

namespace clawrun::cli {

namespace {

Result<int> help_verb(std::span<char* const> args);

constexpr Verb kVerbs[] = {
    {"exec", "run a command in a fresh sandbox: clawrun exec [OPTIONS] -- COMMAND", nullptr, ""},
    {"list", "show the sandboxes that run, and the containers", list_verb, ""},
    {"stats", "say what a sandbox or container has used: memory, processor time, processes, disk", stats_verb, "",
     Operands::kSandboxes},
    {"update", "change limits of a running sandbox or container", update_verb, "", Operands::kSandboxes},
    {"pause", "stop all processes of a sandbox or container where they are", pause_verb, "", Operands::kSandboxes},
    {"resume", "let a paused sandbox or container go on", resume_verb, "", Operands::kSandboxes},
    {"gc", "remove what sandboxes have left whose clawrun was killed", gc_verb, ""},
    {"create", "OCI: make a container from a bundle", nullptr, ""},
    {"start", "OCI: start the process of a container that was made", nullptr, "", Operands::kSandboxes},
    {"run", "OCI: make a container, start it and wait for its end", nullptr, ""},
    {"state", "OCI: print the state of a container", nullptr, "", Operands::kSandboxes},
    {"kill", "OCI: send a signal to a container", nullptr, "", Operands::kSandboxes},
    {"delete", "OCI: remove a container", nullptr, "", Operands::kSandboxes},
    {"ps", "OCI: show the processes of a container", nullptr, "", Operands::kSandboxes},
    {"events", "OCI: print what a container uses", nullptr, "", Operands::kSandboxes},
    {"features", "OCI: print what this runtime can do", nullptr, ""},
    {"spec", "OCI: write a config.json to begin with", nullptr, ""},
    {"checkpoint", "OCI: write a container to images", nullptr, "", Operands::kSandboxes},
    {"restore", "OCI: make a container from images", nullptr, ""},
    {"doctor", "say what this kernel and this user allow, and what mends the rest", doctor_verb, ""},
    {"rootfs", "list, find and remove root filesystems", rootfs_verb, "list path rm"},
    {"seccomp", "show, compile and test system call filters", seccomp_verb, "list show compile test"},
    {"completion", "print the completions for bash, zsh or fish", completion_verb, "bash zsh fish"},
    {"help", "say more about a verb: clawrun help VERB", help_verb,
     "exec list stats update pause resume gc create start run state kill delete ps events features spec checkpoint restore "
     "doctor "
     "rootfs seccomp completion"},
};

std::string usage() {
  std::string text =
      "usage: clawrun VERB [ARGUMENTS]\n\nRuns code that nobody should trust in a sandbox made from kernel primitives.\n\n";
  for (const Verb& verb : kVerbs)
    text += "  " + std::string(verb.name) + std::string(12 - verb.name.size(), ' ') + std::string(verb.summary) + "\n";
  return text + "\nFirst try: clawrun exec -- python3 -c 'print(6*7)'\nOptions: --help, --version. Manual: man clawrun\n" +
         "\nBefore the verb, for OCI containers (exec, list, pause, resume and update are verbs over them too):\n" +
         oci_global_help();
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
  if (verb->run == nullptr) {
    TRY(write_out(oci_help(verb->name)));
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
  // The first two lines in runc's form, which engines read.
  return std::string("clawrun version ") + CLAWRUN_VERSION + "\nspec: " + oci::kSpecVersion + "\nlibseccomp " +
         std::to_string(library->major) + "." + std::to_string(library->minor) + "." + std::to_string(library->micro) +
         "\nkernel " + host.release + " " + host.machine + "\n";
}

Result<int> dispatch(const Verb* verb, std::string_view word, std::span<char* const> rest) {
  if (word == "__options") return options_verb(rest);
  if (verb == nullptr) return unknown_verb(word);
  return verb->run(rest);
}

int fail_verb(std::string_view word, const Error& error) {
  write_error((word.empty() ? "" : std::string(word) + ": ") + error.message);
  return tables::verb_exit_code(error.kind);
}

int print(const std::string& text) {
  if (auto written = write_out(text); !written) return fail_verb("", written.error());
  return tables::kExitOk;
}

// The verb and what follows it, behind the options before it.
int run_verb(std::span<char* const> args, const OciGlobals& globals) {
  const std::string_view word = args.front();
  const std::span<char* const> rest = args.subspan(1);
  const Verb* verb = find_verb(word);
  if (is_oci_verb(word) && ((verb->run == nullptr && word != "exec") || is_for_container(word, rest, globals)))
    return run_oci_verb(word, rest, globals);
  if (globals.given) {
    globals.log.write_error(
        verb == nullptr
            ? unknown_verb(word).error()
            : Error{ErrorKind::kUsage, 0, std::string(word) + " is no verb over containers: it takes no options before it"});
    return tables::kExitFailure;
  }
  if (word == "exec") return exec_verb(rest);
  auto result = dispatch(verb, word, rest);
  return result ? *result : fail_verb(verb != nullptr ? word : "", result.error());
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
  OciGlobals globals;
  if (std::string_view(args[0]).starts_with('-')) {
    if (std::string_view(args[0]) == "-V") return print(version());
    if (auto read = read_oci_globals(args, globals); !read) {
      globals.log.write_error(read.error());
      return tables::kExitFailure;
    }
    if (globals.version || globals.help) return print(globals.version ? version() : usage());
  }
  if (globals.verb_at == args.size()) {
    globals.log.write_error(Error{ErrorKind::kUsage, 0, "no verb is given (clawrun help lists them)"});
    return tables::kExitFailure;
  }
  return run_verb(args.subspan(globals.verb_at), globals);
}

}  // namespace clawrun::cli
