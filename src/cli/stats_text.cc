#include "cli/stats_text.h"

#include <array>
#include <string_view>
#include <utility>
#include <vector>

#include "base/text.h"
#include "cgroup/limits.h"
#include "cli/output.h"
#include "cli/quantities.h"
#include "sys/sys.h"

namespace clawrun::cli {

namespace {

using Number = std::optional<std::uint64_t>;

constexpr std::string_view kNotCounted = "not counted";

bool is_limit(const Number& limit) {
  return limit && *limit != cgroup::kUnlimited;
}

std::string count_of(std::uint64_t number, std::string_view what) {
  return std::to_string(number) + " " + std::string(what) + (number == 1 ? "" : "s");
}

std::string about(const engine::Sandbox& sandbox) {
  const state::Record& record = sandbox.record;
  std::string text = record.id + ", " + status_of(sandbox) + " for " + format_age(age_ms(record));
  if (record.first.pid != 0) text += ", pid " + std::to_string(record.first.pid);
  return text;
}

std::string memory(const cgroup::Usage& usage) {
  if (!usage.memory_bytes) return std::string(kNotCounted);
  std::string text = format_size(*usage.memory_bytes);
  if (is_limit(usage.memory_limit_bytes)) text += " of " + format_size(*usage.memory_limit_bytes);
  if (usage.memory_peak_bytes) text += ", at most " + format_size(*usage.memory_peak_bytes) + " so far";
  if (usage.swap_bytes && *usage.swap_bytes > 0) text += ", swap " + format_size(*usage.swap_bytes);
  if (usage.oom_kills && *usage.oom_kills > 0)
    text +=
        ", " + std::to_string(*usage.oom_kills) + (*usage.oom_kills == 1 ? " process" : " processes") + " killed for want of it";
  return text;
}

std::string cpu(const cgroup::Usage& usage) {
  if (!usage.cpu_us) return std::string(kNotCounted);
  std::string text = format_time(*usage.cpu_us);
  if (usage.cpu_user_us && usage.cpu_system_us)
    text += " (user " + format_time(*usage.cpu_user_us) + ", system " + format_time(*usage.cpu_system_us) + ")";
  if (usage.cpu_throttled_us && *usage.cpu_throttled_us > 0) {
    text += ", held back for " + format_time(*usage.cpu_throttled_us);
    if (usage.cpu_throttled_periods && usage.cpu_periods)
      text += " in " + std::to_string(*usage.cpu_throttled_periods) + " of " + count_of(*usage.cpu_periods, "period");
  }
  return text;
}

std::string processes(const cgroup::Usage& usage) {
  if (!usage.pids) return std::string(kNotCounted);
  std::string text = std::to_string(*usage.pids);
  if (is_limit(usage.pids_limit)) text += " of " + std::to_string(*usage.pids_limit);
  if (usage.pids_peak) text += ", at most " + std::to_string(*usage.pids_peak) + " so far";
  if (usage.pids_limit_hits && *usage.pids_limit_hits > 0) text += ", " + count_of(*usage.pids_limit_hits, "fork") + " refused";
  return text;
}

std::string disk(const cgroup::IoUsage& device) {
  return device.device + " read " + format_size(device.read_bytes) + " in " + count_of(device.reads, "operation") + ", wrote " +
         format_size(device.written_bytes) + " in " + count_of(device.writes, "operation");
}

std::string pressure(const cgroup::Usage& usage) {
  const std::pair<std::string_view, const std::optional<cgroup::Pressure>&> rows[] = {
      {"processors", usage.cpu_pressure}, {"memory", usage.memory_pressure}, {"disks", usage.io_pressure}};
  std::string text;
  for (const auto& [what, stalled] : rows)
    if (stalled) text += (text.empty() ? "waited for " : ", for ") + std::string(what) + " " + format_time(stalled->some_us);
  return text.empty() ? std::string(kNotCounted) : text;
}

std::string size_sum(const cgroup::Usage& usage, std::uint64_t cgroup::IoUsage::*member) {
  if (!usage.has_io) return "-";
  std::uint64_t sum = 0;
  for (const cgroup::IoUsage& device : usage.io) sum += device.*member;
  return format_size(sum);
}

// Of one processor, since the row before.
std::string cpu_share(const cgroup::Usage& usage, Previous& previous) {
  const std::uint64_t now = sys::monotonic_ns();
  std::string text = "-";
  if (usage.cpu_us && previous.cpu_us && *usage.cpu_us >= *previous.cpu_us && now > previous.at_ns) {
    const std::uint64_t tenths = (*usage.cpu_us - *previous.cpu_us) * 1'000'000U / (now - previous.at_ns);
    text = std::to_string(tenths / 10) + "." + std::to_string(tenths % 10);
  }
  previous.cpu_us = usage.cpu_us;
  previous.at_ns = now;
  return text;
}

}  // namespace

std::string stats_text(const engine::Sandbox& sandbox) {
  const cgroup::Usage usage = sandbox.usage.value_or(cgroup::Usage{});
  std::vector<std::pair<std::string_view, std::string>> lines = {{"sandbox", about(sandbox)},
                                                                 {"command", printable(join(sandbox.record.command, " "))},
                                                                 {"memory", memory(usage)},
                                                                 {"processor", cpu(usage)},
                                                                 {"processes", processes(usage)}};
  for (const cgroup::IoUsage& device : usage.io) lines.emplace_back("disk", disk(device));
  if (usage.io.empty()) lines.emplace_back("disk", usage.has_io ? "none used" : kNotCounted);
  lines.emplace_back("pressure", pressure(usage));
  if (!sandbox.usage) lines = {lines[0], lines[1], {"counted", "nothing: it has no cgroup"}};
  std::string text;
  constexpr std::size_t kColumn = 11;
  for (const auto& [subject, words] : lines)
    text += std::string(subject) + std::string(kColumn - subject.size(), ' ') + words + "\n";
  return text;
}

std::string stats_row(const engine::Sandbox& sandbox, Previous& previous) {
  const cgroup::Usage usage = sandbox.usage.value_or(cgroup::Usage{});
  constexpr std::array<std::string_view, 7> kTitles = {"AGE", "MEMORY", "PEAK", "CPU%", "PIDS", "READ", "WRITTEN"};
  const std::array<std::string, kTitles.size()> cells = {format_age(age_ms(sandbox.record)),
                                                         format_counted(usage.memory_bytes),
                                                         format_counted(usage.memory_peak_bytes),
                                                         cpu_share(usage, previous),
                                                         usage.pids ? std::to_string(*usage.pids) : "-",
                                                         size_sum(usage, &cgroup::IoUsage::read_bytes),
                                                         size_sum(usage, &cgroup::IoUsage::written_bytes)};
  // Rows come one by one, so nobody knows the widest cell: this wide they all are.
  constexpr std::size_t kWidth = 9;
  const auto line = [](const auto& all) {
    std::string text;
    for (std::size_t i = 0; i < all.size(); ++i)
      text += std::string(all[i].size() < kWidth ? kWidth - all[i].size() : 1, ' ') + std::string(all[i]);
    return text + "\n";
  };
  return (std::exchange(previous.titled, true) ? "" : line(kTitles)) + line(cells);
}

}  // namespace clawrun::cli
