#include "cli/oci_verbs.h"

#include <unistd.h>

#include <climits>
#include <optional>
#include <vector>

#include "base/text.h"
#include "cli/message.h"
#include "cli/oci_functions.h"
#include "cli/output.h"
#include "sys/own_program.h"
#include "tables/exit_codes.h"

namespace clawrun::cli {

namespace {

struct OciVerbRow {
  std::string_view name;
  OciVerb verb;
  std::string_view operands;  // as --help shows them
  std::size_t least;          // operands
  std::size_t most;
  OptionOrder order;
  OciFunction function;
  std::string_view text;  // in whole lines
};

constexpr std::size_t kAnyNumber = SIZE_MAX;
constexpr auto kAnywhere = OptionOrder::kAnywhere;
constexpr auto kFirst = OptionOrder::kBeforeOperands;

// Flags and operands of runc and of crun together.
constexpr OciVerbRow kRows[] = {
    {"create", OciVerb::kCreate, "ID", 1, 1, kAnywhere, oci_create,
     "Makes a container from a bundle: a directory with a config.json. Its process waits until `clawrun start ID`.\n"},
    {"start", OciVerb::kStart, "ID", 1, 1, kAnywhere, oci_start,
     "Starts the process of a container that `clawrun create` made.\n"},
    {"run", OciVerb::kRun, "ID", 1, 1, kAnywhere, oci_run,
     "Makes a container from a bundle, starts its process, waits for it and deletes the container.\n"},
    {"state", OciVerb::kState, "ID", 1, 1, kAnywhere, oci_state, "Prints the state of a container as JSON.\n"},
    {"kill", OciVerb::kKill, "ID [SIGNAL]", 1, 2, kAnywhere, oci_kill,
     "Sends a signal, TERM where none is given, to the process of a container.\n"},
    {"delete", OciVerb::kDelete, "ID", 1, 1, kAnywhere, oci_delete,
     "Removes a container that has stopped, and all that it had.\n"},
    {"exec", OciVerb::kExec, "ID COMMAND [ARG...]", 1, kAnyNumber, kFirst, oci_exec,
     "Runs another process in a running container. Options end at the ID.\n"},
    {"ps", OciVerb::kPs, "ID [PS-OPTION...]", 1, kAnyNumber, kFirst, oci_ps,
     "Shows the processes of a container, as ps(1) of the host sees them. Options end at the ID.\n"},
    {"list", OciVerb::kList, "", 0, 0, kAnywhere, oci_list, "Shows the containers.\n"},
    {"pause", OciVerb::kPause, "ID", 1, 1, kAnywhere, oci_pause, "Stops all processes of a container where they are.\n"},
    {"resume", OciVerb::kResume, "ID", 1, 1, kAnywhere, oci_resume, "Lets a paused container go on.\n"},
    {"update", OciVerb::kUpdate, "ID", 1, 1, kAnywhere, oci_update,
     "Changes limits of a container; what is not given, and what is 0, stays as it is. Sizes take k, m, g (binary).\n"},
    {"stats", OciVerb::kStats, "ID", 1, 1, kAnywhere, oci_stats,
     "Says what a container has used so far: memory, processor time, processes, disk.\n"},
    {"events", OciVerb::kEvents, "ID", 1, 1, kAnywhere, oci_events,
     "Prints what a container uses, a JSON object in a line each time, until it stops.\n"},
    {"features", OciVerb::kFeatures, "", 0, 0, kAnywhere, oci_features, "Prints what this runtime can do as JSON.\n"},
    {"spec", OciVerb::kSpec, "", 0, 0, kAnywhere, oci_spec, "Writes a config.json to begin with.\n"},
    {"checkpoint", OciVerb::kCheckpoint, "ID", 1, 1, kAnywhere, oci_checkpoint,
     "Writes the processes of a container to images, from which `clawrun restore` makes them again.\n"},
    {"restore", OciVerb::kRestore, "ID", 1, 1, kAnywhere, oci_restore,
     "Makes a container from the images of `clawrun checkpoint`.\n"},
};

const OciVerbRow* find_row(std::string_view verb) {
  for (const OciVerbRow& row : kRows)
    if (row.name == verb) return &row;
  return nullptr;
}

// The function may change its working directory later, and a state root must stay what it was.
Result<std::string> absolute(const std::string& path) {
  if (path.empty() || path.starts_with('/')) return path;
  char here[PATH_MAX];
  if (::getcwd(here, sizeof here) == nullptr) return fail_errno("the working directory");
  return std::string(here) + "/" + path;
}

struct ManagerRow {
  std::string_view name;
  engine::CgroupManager manager;
};

constexpr ManagerRow kManagers[] = {{"cgroupfs", engine::CgroupManager::kCgroupfs},
                                    {"systemd", engine::CgroupManager::kSystemd},
                                    {"disabled", engine::CgroupManager::kDisabled}};

// Podman gives --systemd-cgroup and --cgroup-manager disabled together: the latter says more.
Result<engine::CgroupManager> cgroup_manager(const OciWords& words) {
  if (!words.has("cgroup-manager"))
    return words.on("systemd-cgroup") ? engine::CgroupManager::kSystemd : engine::CgroupManager::kCgroupfs;
  const std::string given = words.value("cgroup-manager");
  for (const ManagerRow& row : kManagers)
    if (row.name == given) return row.manager;
  return fail(ErrorKind::kUsage, "--cgroup-manager: " + quoted(given) + "; cgroupfs, systemd and disabled are known");
}

Result<std::optional<bool>> rootless(const OciWords& words) {
  const std::string given = words.value("rootless");
  if (!words.has("rootless") || given == "auto") return std::optional<bool>();
  const auto value = parse_switch(given);
  if (!value) return fail(ErrorKind::kUsage, "--rootless: " + quoted(given) + "; true, false and auto are known");
  return std::optional<bool>(*value);
}

Result<> check_log_level(const OciWords& words) {
  if (!words.has("log-level")) return {};
  const std::string given = words.value("log-level");
  constexpr std::string_view kLevels[] = {"trace", "debug", "info", "warning", "warn", "error", "fatal", "panic"};
  for (const std::string_view level : kLevels)
    if (given == level) return {};
  return fail(ErrorKind::kUsage, "--log-level: " + quoted(given) + " is no level" + did_you_mean(given, kLevels));
}

Result<> set_log(const OciWords& words, OciLog& log) {
  const std::string format = words.value("log-format");
  if (words.has("log-format") && format != "text" && format != "json")
    return fail(ErrorKind::kUsage, "invalid log-format: " + shown(format) + "; text and json are known");
  log.set_format(format == "json" ? OciLogFormat::kJson : OciLogFormat::kText);
  return log.open(words.value("log"));
}

Failure wrong_number(const OciVerbRow& row) {
  const std::string counted = row.most == row.least    ? "exactly " + std::to_string(row.least)
                              : row.most == kAnyNumber ? "a minimum of " + std::to_string(row.least)
                                                       : std::to_string(row.least) + " or " + std::to_string(row.most);
  return fail(ErrorKind::kUsage, "\"" + std::string(row.name) + "\" requires " + counted + " argument(s): clawrun " +
                                     std::string(row.name) + " [OPTIONS]" + (row.operands.empty() ? "" : " ") +
                                     std::string(row.operands));
}

Result<int> run(const OciVerbRow& row, std::span<char* const> args, const engine::Runtime& runtime) {
  const OciWords words = TRY(read_oci_words(row.verb, args, row.order));
  if (words.on("help")) {
    TRY(write_out(oci_help(row.name)));
    return 0;
  }
  if (words.operands.size() < row.least || words.operands.size() > row.most) return wrong_number(row);
  // Whatever becomes a container's process, or goes into one.
  if (row.verb == OciVerb::kCreate || row.verb == OciVerb::kRun || row.verb == OciVerb::kExec) TRY(sys::leave_own_file());
  return row.function(runtime, words);
}

// Of exec the caller wants to tell our failures from those of the command: runc's 255.
int exit_status(const OciVerbRow& row, const Error& error) {
  constexpr int kExecFailed = 255;
  return row.verb == OciVerb::kExec && error.kind != ErrorKind::kUsage ? kExecFailed : tables::kExitFailure;
}

}  // namespace

Result<> read_oci_globals(std::span<char* const> args, OciGlobals& globals) {
  const OciWords words = TRY(read_oci_words(OciVerb::kGlobal, args, OptionOrder::kBeforeOperands));
  globals.given = !words.options.empty();
  globals.verb_at = words.read;
  globals.help = words.on("help");
  globals.version = words.on("version");
  TRY(set_log(words, globals.log));
  TRY(check_log_level(words));
  globals.runtime.root = TRY(absolute(words.value("root")));
  globals.runtime.cgroup_manager = TRY(cgroup_manager(words));
  globals.runtime.rootless = TRY(rootless(words));
  return {};
}

bool is_oci_verb(std::string_view verb) {
  return find_row(verb) != nullptr;
}

OciVerb oci_verb_of(std::string_view verb) {
  const OciVerbRow* row = find_row(verb);
  return row != nullptr ? row->verb : OciVerb::kGlobal;
}

int run_oci_verb(std::string_view verb, std::span<char* const> args, const OciGlobals& globals) {
  const OciVerbRow* row = find_row(verb);
  if (row == nullptr) return tables::kExitFailure;
  std::vector<std::string> warnings;
  engine::Runtime runtime = globals.runtime;
  runtime.warn = [&](const std::string& message) {
    if (globals.log.holds_one_object()) return warnings.push_back(message);
    globals.log.write_warning(message);
  };
  const auto result = run(*row, args, runtime);
  if (result) {
    for (const std::string& message : warnings) globals.log.write_warning(message);
    return *result;
  }
  globals.log.write_error(result.error());
  return exit_status(*row, result.error());
}

std::string oci_help(std::string_view verb) {
  const OciVerbRow* row = find_row(verb);
  if (row == nullptr) return {};
  return "usage: clawrun [GLOBAL OPTIONS] " + std::string(verb) + " [OPTIONS]" + (row->operands.empty() ? "" : " ") +
         std::string(row->operands) + "\n\n" + std::string(row->text) + "\n" + oci_option_lines(row->verb) +
         "\nSee clawrun-oci(8).\n";
}

std::string oci_global_help() {
  return oci_option_lines(OciVerb::kGlobal);
}

}  // namespace clawrun::cli
