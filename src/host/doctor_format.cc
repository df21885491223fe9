// The findings of `clawrun doctor` as text for people and as JSON for programs.
#include <sys/utsname.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "host/doctor.h"

namespace clawrun::host {

namespace {

struct StatusRow {
  Check::Status status;
  std::string_view word;
};
constexpr StatusRow kStatuses[] = {{Check::Status::kOk, "ok"},
                                   {Check::Status::kDegraded, "degraded"},
                                   {Check::Status::kMissing, "missing"},
                                   {Check::Status::kInfo, "info"}};

struct GroupRow {
  std::string_view prefix;  // of the id, up to the dot
  std::string_view heading;
};
constexpr GroupRow kGroups[] = {{"host", "Here"},         {"userns", "User namespaces"},
                                {"ns", "Namespaces"},     {"mount", "Mounts"},
                                {"kernel", "Kernel"},     {"seccomp", "Seccomp"},
                                {"landlock", "Landlock"}, {"cgroup", "Cgroups"},
                                {"network", "Network"},   {"tool", "Tools of optional features"}};

std::string_view word_of(Check::Status status) {
  for (const StatusRow& row : kStatuses)
    if (row.status == status) return row.word;
  return kStatuses[0].word;
}

std::string_view group_of(const Check& check) {
  return std::string_view(check.id).substr(0, check.id.find('.'));
}

std::string padded(std::string_view text, std::size_t width) {
  std::string out(text);
  if (out.size() < width) out.append(width - out.size(), ' ');
  return out;
}

constexpr std::size_t kStatusWidth = 8;

std::string entry(const Check& check, std::size_t title_width) {
  std::string out =
      "  " + padded(word_of(check.status), kStatusWidth) + "  " + padded(check.title, title_width) + "  " + check.found + "\n";
  const std::string indent(2 + kStatusWidth + 2 + title_width + 2, ' ');
  if (!check.lost.empty()) out += indent + "lost:   " + check.lost + "\n";
  if (!check.remedy.empty()) out += indent + "remedy: " + check.remedy + "\n";
  return out;
}

// Names and files of the host can hold any byte, and neither a terminal nor JSON takes all of them.
std::string printable(std::string_view text) {
  std::string out;
  for (const char c : text) out += c >= 0x20 && c < 0x7f ? c : '?';
  return out;
}

std::vector<Check> made_printable(std::span<const Check> checks) {
  std::vector<Check> out(checks.begin(), checks.end());
  for (Check& check : out)
    for (std::string* field : {&check.id, &check.title, &check.found, &check.lost, &check.remedy}) *field = printable(*field);
  return out;
}

}  // namespace

std::string to_text(std::span<const Check> checks) {
  const std::vector<Check> clean = made_printable(checks);
  std::size_t title_width = 0;
  for (const Check& check : clean) title_width = std::max(title_width, check.title.size());
  std::string out;
  for (const GroupRow& group : kGroups) {
    std::string entries;
    for (const Check& check : clean)
      if (group_of(check) == group.prefix) entries += entry(check, title_width);
    if (!entries.empty()) out += std::string(group.heading) + "\n" + entries + "\n";
  }
  return out + std::string(verdict_word(verdict_of(clean))) + ": " + verdict_line(clean) + "\n";
}

std::string to_json(std::span<const Check> checks) {
  utsname name{};
  uname(&name);
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const Check& check : made_printable(checks)) {
    nlohmann::ordered_json item;
    item["id"] = check.id;
    item["title"] = check.title;
    item["status"] = word_of(check.status);
    item["found"] = check.found;
    item["lost"] = check.lost;
    item["remedy"] = check.remedy;
    list.push_back(std::move(item));
  }
  nlohmann::ordered_json out;
  out["clawrun"] = CLAWRUN_VERSION;
  out["kernel"] = printable(name.release);
  out["checks"] = std::move(list);
  out["verdict"] = verdict_word(verdict_of(checks));
  return out.dump(2) + "\n";
}

}  // namespace clawrun::host
