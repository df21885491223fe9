#include <algorithm>
#include <array>
#include <chrono>

#include "base/text.h"
#include "cli/message.h"
#include "cli/oci_verbs.h"
#include "cli/output.h"
#include "cli/quantities.h"
#include "cli/sandbox_verbs.h"
#include "engine/sandboxes.h"
#include "report/sandboxes.h"

namespace clawrun::cli {

namespace {

constexpr std::array<std::string_view, 7> kColumns = {"ID", "PID", "STATUS", "AGE", "MEMORY", "CPU", "COMMAND"};
using Row = std::array<std::string, kColumns.size()>;

std::string shortened(std::string text) {
  constexpr std::size_t kLongest = 60;
  if (text.size() <= kLongest) return text;
  text.resize(kLongest - 3);
  return text + "...";
}

Row row_of(const engine::Sandbox& sandbox) {
  const state::Record& record = sandbox.record;
  const cgroup::Usage usage = sandbox.usage.value_or(cgroup::Usage{});
  return Row{record.id,
             record.first.pid == 0 ? "-" : std::to_string(record.first.pid),
             status_of(sandbox),
             format_age(age_ms(record)),
             format_counted(usage.memory_bytes),
             usage.cpu_us ? format_time(*usage.cpu_us) : "-",
             shortened(printable(join(record.command, " ")))};
}

std::string table_of(const std::vector<engine::Sandbox>& sandboxes) {
  std::vector<Row> rows(1);
  std::ranges::copy(kColumns, rows.front().begin());
  for (const engine::Sandbox& sandbox : sandboxes) rows.push_back(row_of(sandbox));
  std::array<std::size_t, kColumns.size()> widths{};
  for (const Row& row : rows)
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  std::string text;
  for (const Row& row : rows) {
    for (std::size_t i = 0; i + 1 < row.size(); ++i) text += row[i] + std::string(widths[i] + 2 - row[i].size(), ' ');
    text += row.back() + "\n";
  }
  return text;
}

std::string json_of(const std::vector<engine::Sandbox>& sandboxes) {
  const auto now = std::chrono::system_clock::now();
  std::string text = "[";
  for (const engine::Sandbox& sandbox : sandboxes)
    text += (text.size() == 1 ? "\n" : ",\n") + report::to_json(sandbox.record, sandbox.usage, now);
  return text + (sandboxes.empty() ? "]\n" : "\n]\n");
}

// The sandboxes are shown where the containers cannot be read.
std::string containers(OciListForm form) {
  auto listed = listed_containers(form);
  if (listed) return *listed;
  write_error("list: " + listed.error().message);
  return {};
}

}  // namespace

WordForm list_form() {
  return {"list",
          "",
          "Shows the caller's sandboxes that run, the oldest first, as a table, and behind them the OCI containers, if any.\n",
          {{"json", "", "an array of objects: what `clawrun stats --json` has, of each"},
           {"quiet", "", "the ids only, one a line", 'q'}}};
}

Result<int> list_verb(std::span<char* const> args) {
  const Words words = TRY(read_words(list_form(), args));
  if (words.has("help")) {
    TRY(write_out(help_of(list_form()) + "\nOnly OCI containers:\n" + oci_help("list")));
    return 0;
  }
  if (words.has("json") && words.has("quiet")) return fail(ErrorKind::kUsage, "--json and --quiet exclude each other");
  std::string text;
  if (words.has("quiet")) {
    // The ids are known without a look at any cgroup.
    const state::Listing listing = TRY(state::list());
    for (const state::Record& record : listing.records) text += record.id + "\n";
    TRY(write_out(text + containers(OciListForm::kIds)));
    return 0;
  }
  const engine::Sandboxes found = TRY(engine::sandboxes());
  TRY(write_out(words.has("json") ? json_of(found.running) : table_of(found.running)));
  if (!words.has("json")) {
    const std::string table = containers(OciListForm::kTable);
    TRY(write_out(table.empty() ? table : "\n" + table));
  }
  for (const std::string& problem : found.problems) write_error("list: " + problem);
  return 0;
}

}  // namespace clawrun::cli
