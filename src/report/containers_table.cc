#include <algorithm>
#include <array>

#include "base/text.h"
#include "report/containers.h"

namespace clawrun::report {

namespace {

constexpr std::array<std::string_view, 6> kTitles = {"ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"};
using Row = std::array<std::string, kTitles.size()>;

// A bundle's path may have any bytes; a terminal is not to act on them.
std::string printable(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c < 0x20 || c >= 0x7f) c = '?';
  return out;
}

std::vector<std::string_view> words_of(std::string_view line) {
  std::vector<std::string_view> words;
  for (const std::string_view word : split(line, ' '))
    if (!word.empty()) words.push_back(word);
  return words;
}

bool is_one_of(std::string_view word, std::span<const pid_t> pids) {
  const auto number = parse_unsigned(word);
  return number && std::ranges::any_of(pids, [&](pid_t pid) { return static_cast<std::uint64_t>(pid) == *number; });
}

}  // namespace

std::string containers_table(std::span<const ListedContainer> containers) {
  // As Go's text/tabwriter has it for runc: at least 12 wide, three blanks between.
  constexpr std::size_t kLeast = 12;
  constexpr std::size_t kGap = 3;
  std::vector<Row> rows(1);
  std::ranges::copy(kTitles, rows.front().begin());
  for (const ListedContainer& container : containers) {
    const state::ContainerRecord& record = container.state.record;
    const bool stopped = container.state.status == state::ContainerStatus::kStopped;
    rows.push_back({printable(record.id), std::to_string(stopped ? 0 : record.init.pid),
                    std::string(state::status_name(container.state.status)), printable(record.bundle), printable(record.created),
                    printable(container.owner)});
  }
  std::array<std::size_t, kTitles.size()> widths{};
  for (const Row& row : rows)
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max({widths[i], row[i].size() + kGap, kLeast});
  std::string text;
  for (const Row& row : rows) {
    for (std::size_t i = 0; i + 1 < row.size(); ++i) text += row[i] + std::string(widths[i] - row[i].size(), ' ');
    text += row.back() + "\n";
  }
  return text;
}

Result<std::string> ps_lines(std::string_view output, std::span<const pid_t> pids) {
  const std::vector<std::string_view> lines = split(output, '\n');
  const std::vector<std::string_view> titles = words_of(lines.front());
  const auto column = std::ranges::find(titles, "PID");
  if (column == titles.end()) return fail(ErrorKind::kInvalid, "couldn't find PID field in ps output");
  const auto index = static_cast<std::size_t>(column - titles.begin());
  std::string text = std::string(lines.front()) + "\n";
  for (const std::string_view line : std::span(lines).subspan(1)) {
    const std::vector<std::string_view> words = words_of(line);
    if (words.size() > index && is_one_of(words[index], pids)) text += std::string(line) + "\n";
  }
  return text;
}

}  // namespace clawrun::report
