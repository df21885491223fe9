#include "cli/options.h"

#include <getopt.h>

#include <algorithm>

#include "base/text.h"
#include "engine/exec.h"

namespace clawrun::cli {

namespace {

struct LocalOption {
  OptionRow row;
  void (*apply)(ExecArguments& arguments, std::string_view value);
};

using spec::Section;

constexpr LocalOption kLocal[] = {
    {{"profile", "NAME|FILE", Section::kRunning, "settings from a profile; several add up, and options win over them"},
     [](ExecArguments& a, std::string_view value) { a.profiles.emplace_back(value); }},
    {{"report", "FILE|fd:N", Section::kRunning, "write how it went as one JSON object"},
     [](ExecArguments& a, std::string_view value) { a.report = value; }},
    {{"dry-run", "", Section::kRunning, "print the plan, exactly what would be done, as JSON, and do nothing"},
     [](ExecArguments& a, std::string_view) { a.dry_run = true; }},
    {{"emit-bundle", "DIR", Section::kRunning,
      "make DIR, an OCI bundle that gives the same sandbox under any runtime; run nothing"},
     [](ExecArguments& a, std::string_view value) { a.bundle = value; }},
    {{"quiet", "", Section::kRunning, "nothing on stderr but errors before the start"},
     [](ExecArguments& a, std::string_view) { a.quiet = true; }},
    {{"verbose", "", Section::kRunning, "notes about this host and the time of each stage on stderr"},
     [](ExecArguments& a, std::string_view) { a.verbose = true; }},
    {{"help", "", Section::kRunning, "this text"}, [](ExecArguments& a, std::string_view) { a.help = true; }},
};

Failure unknown_option(std::string_view word) {
  std::vector<std::string_view> names;
  for (const OptionRow& row : exec_options()) names.push_back(row.name);
  std::string_view name = word;
  while (name.starts_with('-')) name.remove_prefix(1);
  name = name.substr(0, name.find('='));
  const std::string_view best = nearest(name, names);
  return fail(ErrorKind::kUsage,
              "unknown option " + quoted(word) +
                  (best.empty() ? "; clawrun exec --help lists them" : "; did you mean --" + std::string(best) + "?"));
}

std::vector<option> getopt_table(const std::vector<OptionRow>& rows) {
  std::vector<option> table;
  // NOLINTNEXTLINE(bugprone-suspicious-stringview-data-usage): the names are string literals
  for (const OptionRow& row : rows)
    table.push_back({row.name.data(), row.metavar.empty() ? no_argument : required_argument, nullptr, 0});
  table.push_back({nullptr, 0, nullptr, 0});
  return table;
}

// getopt takes unique beginnings for the whole; a later option could make such a command line mean something else.
bool is_abbreviated(std::string_view word, std::string_view name) {
  while (word.starts_with('-')) word.remove_prefix(1);
  return word.substr(0, word.find('=')) != name;
}

struct Given {
  std::string_view name;
  std::string_view value;
};

Result<> apply(ExecArguments& arguments, const Given& given) {
  for (const LocalOption& local : kLocal) {
    if (local.row.name != given.name) continue;
    local.apply(arguments, given.value);
    return {};
  }
  if (auto applied = spec::apply_setting(arguments.spec, given.name, given.value); !applied)
    return while_doing("--" + std::string(given.name), applied.error());
  return {};
}

// `exec ID CMD` enters a running container; whoever meant a fresh sandbox forgot the --.
Failure without_separator(std::span<char* const> args, std::size_t at) {
  std::string corrected = "clawrun exec";
  for (std::size_t i = 0; i < args.size(); ++i) corrected += (i == at ? " -- " : " ") + shown(args[i]);
  return fail(ErrorKind::kUsage,
              "there is no container " + quoted(args[at]) + "; a fresh sandbox wants -- before its command: " + corrected);
}

}  // namespace

std::vector<OptionRow> exec_options() {
  std::vector<OptionRow> rows;
  for (const spec::Setting& setting : spec::settings())
    rows.push_back({setting.name, setting.metavar, setting.section, setting.help});
  for (const LocalOption& local : kLocal) rows.push_back(local.row);
  return rows;
}

Result<ExecArguments> parse_exec(std::span<char* const> args) {
  const std::vector<OptionRow> rows = exec_options();
  const std::vector<option> table = getopt_table(rows);
  std::vector<char*> argv;
  char program[] = "exec";
  argv.push_back(program);
  argv.insert(argv.end(), args.begin(), args.end());
  argv.push_back(nullptr);
  const int argc = static_cast<int>(argv.size()) - 1;

  std::vector<Given> given;
  optind = 0;  // glibc: start anew, getopt(3)
  opterr = 0;
  for (;;) {
    const int before = std::max(optind, 1);
    int index = -1;
    // "+": the first word that is no option ends them. ":": a missing value is told apart.
    const int found = ::getopt_long_only(argc, argv.data(), "+:", table.data(), &index);
    if (found == -1) break;
    const std::string_view word = argv[static_cast<std::size_t>(before)];
    if (found == ':') return fail(ErrorKind::kUsage, "option " + quoted(word) + " wants a value");
    if (found != 0 || index < 0 || is_abbreviated(word, rows[static_cast<std::size_t>(index)].name)) {
      for (const OptionRow& row : rows)
        if (row.metavar.empty() && !is_abbreviated(word, row.name) && word.find('=') != std::string_view::npos)
          return fail(ErrorKind::kUsage, "option --" + std::string(row.name) + " takes no value");
      return unknown_option(word);
    }
    given.push_back({rows[static_cast<std::size_t>(index)].name, optarg != nullptr ? std::string_view(optarg) : "on"});
  }

  ExecArguments arguments;
  // Precedence: built-in defaults, profiles in their order, flags.
  for (const Given& one : given)
    if (one.name == "profile") TRY(engine::apply_profile(arguments.spec, std::string(one.value)));
  for (const Given& one : given) TRY(apply(arguments, one));
  if (arguments.help) return arguments;
  if (arguments.bundle && (arguments.dry_run || !arguments.report.empty()))
    return fail(ErrorKind::kUsage, "--emit-bundle runs nothing: it cannot go with --dry-run or --report");

  const auto rest = static_cast<std::size_t>(optind);
  const bool separated = rest > 1 && std::string_view(argv[rest - 1]) == "--";
  if (rest < args.size() + 1 && !separated) return without_separator(args, rest - 1);
  for (std::size_t i = rest; i < args.size() + 1; ++i) arguments.spec.command.emplace_back(argv[i]);
  return arguments;
}

}  // namespace clawrun::cli
