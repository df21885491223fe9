#include "resctrl/schemata.h"

#include <map>
#include <utility>

#include "base/text.h"
#include "resctrl/group.h"

namespace clawrun::resctrl {

namespace {

using Key = std::pair<std::string, std::string>;  // resource, domain

// The kernel fills numbers up with zeros or blanks to one width.
std::string normal(std::string_view number) {
  number = trimmed(number);
  while (number.size() > 1 && number.front() == '0') number.remove_prefix(1);
  std::string text(number);
  for (char& c : text)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + ('a' - 'A'));
  return text;
}

std::map<Key, std::string> values_in(std::string_view text) {
  std::map<Key, std::string> values;
  for (const std::string_view line : split(text, '\n')) {
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos) continue;
    const std::string resource(trimmed(line.substr(0, colon)));
    for (const std::string_view part : split(line.substr(colon + 1), ';')) {
      const std::size_t equals = part.find('=');
      if (equals != std::string_view::npos) values[{resource, normal(part.substr(0, equals))}] = normal(part.substr(equals + 1));
    }
  }
  return values;
}

bool same_value(const std::string& resource, const std::string& wanted, const std::string& there, std::uint64_t step) {
  if (wanted == there) return true;
  if (resource != "MB" || step == 0) return false;
  const auto wish = parse_unsigned(wanted, UINT32_MAX);
  return wish && std::to_string((*wish + step - 1) / step * step) == there;
}

}  // namespace

std::string first_difference(std::string_view wanted, std::string_view there, std::uint64_t bandwidth_step) {
  const auto present = values_in(there);
  for (const auto& [key, value] : values_in(wanted)) {
    const auto found = present.find(key);
    const std::string name = key.first + ":" + key.second;
    if (found == present.end()) return shown(name) + " is not among them";
    if (!same_value(key.first, value, found->second, bandwidth_step))
      return shown(name + "=" + found->second) + ", where config.json has " + shown(value);
  }
  return {};
}

std::string line_of(std::string_view text, std::string_view resource) {
  for (const std::string_view line : split(text, '\n')) {
    const std::string_view plain = trimmed(line);
    if (plain.starts_with(resource) && plain.substr(resource.size()).starts_with(':')) return std::string(plain);
  }
  return {};
}

std::uint64_t number_at_start(std::string_view text) {
  return parse_unsigned(trimmed(text.substr(0, text.find('\n')))).value_or(0);
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\r\n";
  const std::size_t first = text.find_first_not_of(kBlanks);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

std::string lines_of(const Request& request) {
  std::string lines;
  // config-linux.md: a line of memory bandwidth in l3CacheSchema gives way to memBwSchema.
  for (const std::string_view line : split(request.l3_cache_schema, '\n'))
    if (!trimmed(line).empty() && (request.mem_bw_schema.empty() || !trimmed(line).starts_with("MB:")))
      lines.append(line) += '\n';
  if (!request.mem_bw_schema.empty()) lines += request.mem_bw_schema + "\n";
  for (const std::string& line : request.schemata) lines += line + "\n";
  return lines;
}

}  // namespace clawrun::resctrl
