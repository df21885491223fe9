#include "cli/exec_verb.h"

#include <fcntl.h>
#include <unistd.h>

#include <optional>

#include "base/text.h"
#include "base/unique_fd.h"
#include "cli/message.h"
#include "cli/oci_verbs.h"
#include "cli/options.h"
#include "cli/output.h"
#include "engine/emit_bundle.h"
#include "engine/exec.h"
#include "report/report.h"
#include "sys/sys.h"
#include "tables/exit_codes.h"

namespace clawrun::cli {

namespace {

// Where the report goes: opened before anything runs, so that a wrong name costs nothing.
class ReportFile {
 public:
  Result<> open(const std::string& where) {
    if (where.empty()) return {};
    if (!where.starts_with("fd:")) {
      auto file = sys::open(where, O_WRONLY | O_CREAT | O_TRUNC | O_NOCTTY, 0644);
      if (!file) return while_doing("--report", file.error());
      fd_ = std::move(*file);
      return {};
    }
    const auto number = parse_unsigned(std::string_view(where).substr(3), 1 << 20U);
    if (!number) return while_doing("--report", number.error());
    fd_.reset(::fcntl(static_cast<int>(*number), F_DUPFD_CLOEXEC, 3));
    if (!fd_.valid()) return fail_errno("--report " + shown(where));
    return {};
  }

  // A report that cannot be written is said, and changes nothing about how the command ended.
  void write(const spec::Outcome& outcome, const plan::Plan* plan, bool quiet) const {
    if (!fd_.valid()) return;
    if (auto written = sys::write_all(fd_.get(), report::to_json(outcome, plan)); !written && !quiet)
      write_error("--report: " + written.error().message);
  }

 private:
  UniqueFd fd_;
};

void say_degradations(const plan::Plan& plan, const ExecArguments& arguments) {
  if (arguments.quiet) return;
  if (arguments.spec.allow_degraded || arguments.verbose)
    for (const std::string& lost : plan.degradations) write_error("degraded: " + lost);
  if (!arguments.verbose) return;
  for (const std::string& note : plan.notes) write_error("note: " + note);
}

void say_end(const spec::Outcome& outcome, const plan::Plan& plan, const ExecArguments& arguments) {
  if (arguments.quiet) return;
  if (const std::string text = report::explanation(outcome, plan); !text.empty()) write_error(text);
  if (const std::string text = report::truncation(outcome); !text.empty()) write_error(text);
  if (!arguments.verbose) return;
  std::string line = "stages (us since the clone):";
  for (const auto& [stage, us] : outcome.stages_us) line += " " + stage + "=" + std::to_string(us);
  write_error(line + " end=" + std::to_string(outcome.wall_us));
}

int failed(const Error& error, const ReportFile& report, const plan::Plan* plan, bool quiet) {
  write_error(error.message);
  report.write(engine::failed_outcome(error, plan), plan, quiet);
  return tables::exec_exit_code(error.kind);
}

int print(const std::string& text) {
  if (auto written = write_out(text); !written) {
    write_error(written.error().message);
    return tables::kExitSetup;
  }
  return tables::kExitOk;
}

int emit_bundle(const plan::Plan& plan, const ExecArguments& arguments) {
  const auto not_expressed = engine::emit_bundle(plan, {.directory = *arguments.bundle, .uid_range = arguments.spec.uid_range});
  if (!not_expressed) {
    write_error(not_expressed.error().message);
    return tables::exec_exit_code(not_expressed.error().kind);
  }
  if (!arguments.quiet)
    for (const std::string& lost : *not_expressed) write_error("not in the bundle: " + lost);
  return tables::kExitOk;
}

int run(const ExecArguments& arguments) {
  ReportFile report;
  // Before the report is opened, which might get the number of a descriptor that is not there.
  for (const int fd : arguments.spec.preserve_fds)
    if (::fcntl(fd, F_GETFD) < 0)
      return failed(fail_errno("--preserve-fd " + std::to_string(fd)).error(), report, nullptr, arguments.quiet);
  if (auto opened = report.open(arguments.report); !opened) return failed(opened.error(), report, nullptr, arguments.quiet);
  spec::SandboxSpec spec = arguments.spec;
  spec.report_usage = !arguments.report.empty();
  const auto plan = engine::prepare(std::move(spec));
  if (!plan) return failed(plan.error(), report, nullptr, arguments.quiet);
  if (arguments.dry_run) {
    return print(report::plan_to_json(*plan));
  }
  say_degradations(*plan, arguments);
  if (arguments.bundle) return emit_bundle(*plan, arguments);
  const auto outcome = engine::exec(*plan, {.forward_signals = true, .read_usage = !arguments.report.empty(), .say = arguments.quiet ? nullptr : write_error});
  if (!outcome) return failed(outcome.error(), report, &*plan, arguments.quiet);
  report.write(*outcome, &*plan, arguments.quiet);
  say_end(*outcome, *plan, arguments);
  return report::exit_code(*outcome);
}

}  // namespace

int exec_verb(std::span<char* const> args) {
  const auto arguments = parse_exec(args);
  if (!arguments) {
    write_error(arguments.error().message);
    return tables::kExitSetup;
  }
  if (arguments->help) {
    return print(exec_help());
  }
  return run(*arguments);
}

std::string exec_help() {
  std::string text =
      "usage: clawrun exec [OPTIONS] -- COMMAND [ARG...]\n\n"
      "Runs COMMAND in a fresh sandbox: its own namespaces, a read-only root, no network,\n"
      "no capabilities, a system call filter. stdio is the caller's.\n";
  constexpr std::size_t kColumn = 30;
  constexpr spec::Section kOrder[] = {spec::Section::kRoot,    spec::Section::kEnvironment, spec::Section::kIsolation,
                                      spec::Section::kNetwork, spec::Section::kLimits,      spec::Section::kStdio,
                                      spec::Section::kRunning};
  const std::vector<OptionRow> rows = exec_options();
  for (const spec::Section section : kOrder) {
    text += "\n" + std::string(spec::section_title(section)) + ":\n";
    for (const OptionRow& row : rows) {
      if (row.section != section) continue;
      std::string left = "  --" + std::string(row.name) + (row.metavar.empty() ? "" : " " + std::string(row.metavar));
      left += left.size() + 1 < kColumn ? std::string(kColumn - left.size(), ' ') : "\n" + std::string(kColumn, ' ');
      text += left + std::string(row.help) + "\n";
    }
  }
  text +=
      "\nSizes take k, m, g (binary); times ms, s, m, h.\n"
      "Exit status: the command's; 128+N when signal N ended it; 124 --timeout; 125 clawrun failed before\n"
      "the command could run; 126 it cannot be executed; 127 it was not found.\n\n"
      "Without -- it is a process in a running OCI container:\n";
  return text + oci_help("exec");
}

}  // namespace clawrun::cli
