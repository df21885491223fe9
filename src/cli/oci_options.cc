#include "cli/oci_options.h"

#include <algorithm>

#include "base/text.h"

namespace clawrun::cli {

namespace {

template <typename... Verbs>
constexpr std::uint32_t of(Verbs... verbs) {
  return (static_cast<std::uint32_t>(verbs) | ...);
}

constexpr auto kGlobal = OciVerb::kGlobal;
constexpr auto kCreate = OciVerb::kCreate;
constexpr auto kKill = OciVerb::kKill;
constexpr auto kDelete = OciVerb::kDelete;
constexpr auto kRun = OciVerb::kRun;
constexpr auto kExec = OciVerb::kExec;
constexpr auto kPs = OciVerb::kPs;
constexpr auto kList = OciVerb::kList;
constexpr auto kUpdate = OciVerb::kUpdate;
constexpr auto kEvents = OciVerb::kEvents;
constexpr auto kSpec = OciVerb::kSpec;
constexpr auto kCheckpoint = OciVerb::kCheckpoint;
constexpr auto kRestore = OciVerb::kRestore;
constexpr auto kStats = OciVerb::kStats;

constexpr OciOption kOptions[] = {
    {of(kGlobal), "root", 0, "DIR", "where the states of containers are; on a tmpfs"},
    {of(kGlobal), "log", 0, "FILE", "append errors to this file as well"},
    {of(kGlobal), "log-format", 0, "text|json", "of errors (default text)"},
    {of(kGlobal), "log-level", 0, "LEVEL", "debug, info, warning or error; errors are always written"},
    {of(kGlobal), "debug", 0, "", "the same as --log-level debug"},
    {of(kGlobal), "systemd-cgroup", 0, "", "the cgroup is a scope of systemd; cgroupsPath is SLICE:PREFIX:NAME"},
    {of(kGlobal), "cgroup-manager", 0, "MANAGER", "cgroupfs, systemd, or disabled: no cgroup is made"},
    {of(kGlobal), "rootless", 0, "true|false|auto", "what the caller may not do with cgroups is left out"},
    {of(kGlobal), "criu", 0, "FILE", "accepted, as runc had it; CRIU is found by itself"},
    {of(kGlobal), "version", 'v', "", "print versions and exit"},

    {of(kCreate, kRun, kRestore), "bundle", 'b', "DIR", "the bundle (default: the working directory)"},
    {of(kCreate, kRun), "config", 'f', "FILE", "read this file instead of the bundle's config.json"},
    {of(kCreate, kRun, kRestore, kExec), "console-socket", 0, "SOCKET", "AF_UNIX socket that gets the terminal's master"},
    {of(kCreate, kRun, kExec), "pidfd-socket", 0, "SOCKET", "AF_UNIX socket that gets a pidfd of the process"},
    {of(kCreate, kRun, kRestore, kExec), "pid-file", 0, "FILE", "write the pid of the process to this file"},
    {of(kCreate, kRun, kRestore), "no-pivot", 0, "", "no pivot_root(2): for a root on an initramfs"},
    {of(kCreate, kRun), "no-new-keyring", 0, "", "keep the caller's session keyring"},
    {of(kCreate, kRun, kExec), "preserve-fds", 0, "N", "pass on N descriptors from 3 on, behind those of LISTEN_FDS"},
    {of(kCreate, kRun, kRestore, kExec), "detach", 'd', "", "return when the process runs; create always does"},
    {of(kRun), "keep", 0, "", "do not delete the container when its process has ended"},
    {of(kCreate, kRun, kRestore), "no-subreaper", 0, "", "do not become the parent of orphans"},

    {of(kExec), "process", 'p', "FILE", "read the process from this file, in the form of config.json's"},
    {of(kExec), "cwd", 0, "DIR", "working directory inside"},
    {of(kExec), "env", 'e', "NAME=VALUE", "set a variable; may be repeated"},
    {of(kExec), "tty", 't', "", "give the process a terminal"},
    {of(kExec), "user", 'u', "UID[:GID]", "who it runs as, in numbers"},
    {of(kExec), "additional-gids", 'g', "GID", "a supplementary group; may be repeated"},
    {of(kExec), "process-label", 0, "LABEL", "SELinux label"},
    {of(kExec), "apparmor", 0, "PROFILE", "AppArmor profile"},
    {of(kExec), "no-new-privs", 0, "", "set no_new_privs"},
    {of(kExec), "cap", 'c', "NAME", "add a capability; may be repeated"},
    {of(kExec), "cgroup", 0, "PATH", "a cgroup below the container's"},
    {of(kExec), "ignore-paused", 0, "", "also in a paused container; the process waits until it is resumed"},

    {of(kKill), "all", 'a', "", "every process of the container"},
    {of(kDelete), "force", 'f', "", "end it first; one that is not there is no error"},
    {of(kKill, kDelete), "regex", 'r', "", "the id is a regular expression; every container whose id has it"},

    {of(kPs, kList), "format", 'f', "table|json", "(default table)"},
    {of(kList), "quiet", 'q', "", "the ids only, one a line"},

    {of(kUpdate), "resources", 'r', "FILE|-", "JSON in the form of config.json's linux.resources; other options win over it"},
    {of(kUpdate), "blkio-weight", 0, "N", "share of disk time, 10 to 1000"},
    {of(kUpdate), "cpu-period", 0, "US", "period of --cpu-quota in microseconds"},
    {of(kUpdate), "cpu-quota", 0, "US", "processor time in each period; -1: no limit"},
    {of(kUpdate), "cpu-burst", 0, "US", "what may be saved up of it for later"},
    {of(kUpdate), "cpu-share", 0, "N", "share of processor time, 2 to 262144"},
    {of(kUpdate), "cpu-rt-period", 0, "US", "period of --cpu-rt-runtime; cgroup v1"},
    {of(kUpdate), "cpu-rt-runtime", 0, "US", "real-time processor time in each period; cgroup v1"},
    {of(kUpdate), "cpuset-cpus", 0, "LIST", "processors that may be used"},
    {of(kUpdate), "cpuset-mems", 0, "LIST", "memory nodes that may be used"},
    {of(kUpdate), "cpu-idle", 0, "0|1", "1: only what nobody else wants of the processors"},
    {of(kUpdate), "memory", 0, "SIZE", "-1: no limit"},
    {of(kUpdate), "memory-reservation", 0, "SIZE", "what it is to be left with where memory is short"},
    {of(kUpdate), "memory-swap", 0, "SIZE", "memory and swap together; -1: no limit"},
    {of(kUpdate), "kernel-memory", 0, "SIZE", "cgroup v1, and of no effect in new kernels"},
    {of(kUpdate), "kernel-memory-tcp", 0, "SIZE", "memory of TCP buffers; cgroup v1"},
    {of(kUpdate), "pids-limit", 0, "N", "processes and threads; -1: no limit"},
    {of(kUpdate), "l3-cache-schema", 0, "TEXT", "L3 line of its resctrl group's schemata"},
    {of(kUpdate), "mem-bw-schema", 0, "TEXT", "MB line of its resctrl group's schemata"},

    {of(kStats), "json", 0, "", "one JSON object in one line"},

    {of(kEvents), "stats", 0, "", "one sample, then exit"},
    {of(kEvents), "interval", 0, "TIME", "between two samples (default 5s)"},

    {of(kSpec), "bundle", 'b', "DIR", "where config.json is written (default: the working directory)"},
    {of(kSpec), "config", 'f', "FILE", "its name, instead of config.json"},
    {of(kSpec), "file", 0, "FILE", "the same as --config"},
    {of(kSpec), "rootless", 0, "", "for who is not root"},

    {of(kCheckpoint, kRestore), "image-path", 0, "DIR", "where the images are"},
    {of(kCheckpoint, kRestore), "work-path", 0, "DIR", "where CRIU's log and working files are"},
    {of(kCheckpoint), "parent-path", 0, "DIR", "images of an earlier --pre-dump, relative to --image-path"},
    {of(kCheckpoint), "leave-running", 0, "", "the container goes on"},
    {of(kCheckpoint, kRestore), "tcp-established", 0, "", "keep open TCP connections"},
    {of(kCheckpoint, kRestore), "tcp-close", 0, "", "close open TCP connections"},
    {of(kCheckpoint), "tcp-skip-in-flight", 0, "", "leave out TCP connections that are not yet accepted"},
    {of(kCheckpoint, kRestore), "ext-unix-sk", 0, "", "allow UNIX sockets to the outside"},
    {of(kCheckpoint, kRestore), "shell-job", 0, "", "allow a terminal of the outside"},
    {of(kCheckpoint, kRestore), "lazy-pages", 0, "", "memory follows later, through userfaultfd(2)"},
    {of(kCheckpoint), "status-fd", 0, "N", "descriptor to which CRIU writes when --lazy-pages is ready"},
    {of(kCheckpoint), "page-server", 0, "ADDRESS:PORT", "send the memory there"},
    {of(kCheckpoint, kRestore), "file-locks", 0, "", "keep locks of files"},
    {of(kCheckpoint), "pre-dump", 0, "", "memory only, and the container goes on"},
    {of(kCheckpoint, kRestore), "manage-cgroups-mode", 0, "MODE", "soft, full, strict, ignore or none (default soft)"},
    {of(kCheckpoint, kRestore), "empty-ns", 0, "NAME", "a namespace whose contents are left out: network"},
    {of(kCheckpoint, kRestore), "auto-dedup", 0, "", "drop from older images what newer ones have"},
    {of(kCheckpoint, kRestore), "link-remap", 0, "", "allow files that are open and have no name"},
    {of(kRestore), "lsm-profile", 0, "TYPE:NAME", "AppArmor profile or SELinux label of the restored processes"},
    {of(kRestore), "lsm-mount-context", 0, "TEXT", "SELinux context of the mounts"},

    {~0U, "help", 'h', "", "this text"},
};

bool is_of(const OciOption& option, OciVerb verb) {
  return (option.verbs & static_cast<std::uint32_t>(verb)) != 0;
}

std::string_view name_in(std::string_view word) {
  word.remove_prefix(word.starts_with("--") ? 2 : word.starts_with('-') ? 1 : 0);
  return word.substr(0, word.find('='));
}

bool is_called(const OciOption& option, std::string_view name) {
  return option.name == name || (name.size() == 1 && option.letter != 0 && name[0] == option.letter);
}

// The words of Go's strconv.ParseBool, which callers of runc know.
Result<std::string_view> switch_value(std::string_view name, std::string_view text) {
  for (const std::string_view word : {"1", "t", "T", "TRUE", "true", "True"})
    if (text == word) return "true";
  for (const std::string_view word : {"0", "f", "F", "FALSE", "false", "False"})
    if (text == word) return "false";
  return fail(ErrorKind::kUsage, "invalid boolean value " + quoted(text) + " for -" + std::string(name));
}

Failure unknown(OciVerb verb, std::string_view word) {
  std::vector<std::string_view> names;
  for (const OciOption& option : kOptions)
    if (is_of(option, verb)) names.push_back(option.name);
  const std::string_view name = name_in(word);
  const std::string_view best = nearest(name, names);
  return fail(ErrorKind::kUsage, "flag provided but not defined: -" + shown(name) +
                                     (best.empty() ? "" : "; did you mean --" + std::string(best) + "?"));
}

// One option word at args[i]; i moves on to its value where that is a word of its own.
Result<> read_option(OciVerb verb, std::span<char* const> args, std::size_t& i, OciWords& words) {
  const std::string_view word = args[i];
  const OciOption* option = find_oci_option(verb, word);
  if (option == nullptr && are_oci_switches(verb, word)) {
    for (const char& letter : word.substr(1))
      words.options.emplace_back(find_oci_option(verb, std::string_view(&letter, 1))->name, "true");
    return {};
  }
  if (option == nullptr) return unknown(verb, word);
  const std::size_t equals = word.find('=');
  std::string_view value = equals == std::string_view::npos ? std::string_view() : word.substr(equals + 1);
  if (option->metavar.empty()) {
    if (equals == std::string_view::npos) value = "true";
    value = TRY(switch_value(option->name, value));
  } else if (equals == std::string_view::npos) {
    if (i + 1 == args.size()) return fail(ErrorKind::kUsage, "flag needs an argument: -" + shown(name_in(word)));
    value = args[++i];
  }
  words.options.emplace_back(option->name, value);
  return {};
}

}  // namespace

std::span<const OciOption> oci_options() {
  return kOptions;
}

const OciOption* find_oci_option(OciVerb verb, std::string_view word) {
  const std::string_view name = name_in(word);
  for (const OciOption& option : kOptions)
    if (is_of(option, verb) && is_called(option, name)) return &option;
  return nullptr;
}

// A letter with a value does not stand among them: a mistyped -bundel would be -b undel.
bool are_oci_switches(OciVerb verb, std::string_view word) {
  if (word.size() < 3 || word.starts_with("--")) return false;
  return std::ranges::all_of(word.substr(1), [&](char letter) {
    return std::ranges::any_of(kOptions, [&](const OciOption& option) {
      return is_of(option, verb) && option.letter == letter && option.metavar.empty();
    });
  });
}

bool OciWords::has(std::string_view name) const {
  return std::ranges::any_of(options, [&](const auto& option) { return option.first == name; });
}

bool OciWords::on(std::string_view name) const {
  return value(name) == "true";
}

std::string OciWords::value(std::string_view name) const {
  for (std::size_t i = options.size(); i > 0; --i)
    if (options[i - 1].first == name) return std::string(options[i - 1].second);
  return {};
}

std::vector<std::string> OciWords::all(std::string_view name) const {
  std::vector<std::string> values;
  for (const auto& [option, value] : options)
    if (option == name) values.emplace_back(value);
  return values;
}

Result<OciWords> read_oci_words(OciVerb verb, std::span<char* const> args, OptionOrder order) {
  OciWords words;
  bool only_operands = false;
  std::size_t i = 0;
  for (; i < args.size(); ++i) {
    const std::string_view word = args[i];
    if (only_operands || word.size() < 2 || word.front() != '-') {
      if (order == OptionOrder::kBeforeOperands) break;
      words.operands.emplace_back(word);
    } else if (word == "--") {
      only_operands = true;
    } else {
      TRY(read_option(verb, args, i, words));
    }
  }
  words.read = i;
  for (; i < args.size(); ++i) words.operands.emplace_back(args[i]);
  return words;
}

std::string oci_option_lines(OciVerb verb) {
  constexpr std::size_t kColumn = 32;
  std::string text;
  for (const OciOption& option : kOptions) {
    if (!is_of(option, verb)) continue;
    std::string left = option.letter != 0 ? std::string("  -") + option.letter + ", " : "      ";
    left += "--" + std::string(option.name) + (option.metavar.empty() ? "" : " " + std::string(option.metavar));
    left += left.size() + 1 < kColumn ? std::string(kColumn - left.size(), ' ') : "\n" + std::string(kColumn, ' ');
    text += left + std::string(option.help) + "\n";
  }
  return text;
}

}  // namespace clawrun::cli
