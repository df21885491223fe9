#include "cgroup/device_table.h"

#include <algorithm>
#include <map>
#include <set>
#include <string>

#include "base/text.h"

namespace clawrun::cgroup {

namespace {

using Number = std::optional<std::uint32_t>;  // nullopt: one that no rule names

DeviceAccess accesses_of(const DeviceRule& rule) {
  return static_cast<DeviceAccess>((rule.mknod ? kMknod : 0) | (rule.read ? 2 : 0) | (rule.write ? 4 : 0));
}

bool is_about(const DeviceRule& rule, char type) {
  return rule.type == 'a' || rule.type == type;
}

// What the rules grant of one device, in their order.
DeviceAccess granted(std::span<const DeviceRule> rules, char type, Number major, Number minor) {
  DeviceAccess result = 0;
  for (const DeviceRule& rule : rules) {
    const bool names = is_about(rule, type) && (!rule.major || rule.major == major) && (!rule.minor || rule.minor == minor);
    if (!names) continue;
    const DeviceAccess accesses = accesses_of(rule);
    result = static_cast<DeviceAccess>(rule.allow ? result | accesses : result & ~accesses);
  }
  return result;
}

Result<> check(std::span<const DeviceRule> rules) {
  if (rules.size() > kMaxDeviceRules)
    return fail(ErrorKind::kInvalid, "the device policy has " + std::to_string(rules.size()) + " rules; at most " +
                                         std::to_string(kMaxDeviceRules) + " are allowed");
  for (std::size_t i = 0; i < rules.size(); ++i) {
    const DeviceRule& rule = rules[i];
    const std::string where = "device rule " + std::to_string(i + 1) + ": ";
    if (rule.type != 'a' && rule.type != 'b' && rule.type != 'c')
      return fail(ErrorKind::kInvalid, where + "the type is " + quoted({&rule.type, 1}) + "; \"a\", \"b\" and \"c\" are allowed");
    if (rule.type == 'a' && (rule.major || rule.minor))
      return fail(ErrorKind::kInvalid, where + "the type \"a\" means all devices, and takes no numbers; give \"b\" or \"c\"");
  }
  return {};
}

// The numbers that the rules for one type name.
struct Named {
  std::map<std::uint32_t, std::set<std::uint32_t>> minors_of;  // for each major number that is named
  std::set<std::uint32_t> minors;                              // of any major number
};

Named numbers_named(std::span<const DeviceRule> rules, char type) {
  Named named;
  for (const DeviceRule& rule : rules) {
    if (!is_about(rule, type) || rule.major.value_or(0) > kMaxMajor || rule.minor.value_or(0) > kMaxMinor) continue;
    if (rule.major) {
      auto& minors = named.minors_of[*rule.major];
      if (rule.minor) minors.insert(*rule.minor);
    } else if (rule.minor) {
      named.minors.insert(*rule.minor);
    }
  }
  // Where a rule for any major number meets one for any minor number, their common device is an entry of its own.
  for (auto& [major, minors] : named.minors_of) {
    if (minors.size() + named.minors.size() > kMaxDeviceEntries) break;  // too many anyway
    minors.insert(named.minors.begin(), named.minors.end());
  }
  return named;
}

std::size_t count(const Named& named) {
  std::size_t sum = named.minors.size() + named.minors_of.size();
  for (const auto& [major, minors] : named.minors_of) sum += minors.size();
  return sum;
}

DeviceTable table_of(std::span<const DeviceRule> rules, char type, const Named& named) {
  DeviceTable table{.rest = granted(rules, type, {}, {})};
  std::map<std::uint32_t, DeviceAccess> of_minor;  // those kept in table.minors
  for (const std::uint32_t minor : named.minors) {
    const DeviceAccess here = granted(rules, type, {}, minor);
    if (here == table.rest) continue;
    table.minors.push_back({.minor = minor, .granted = here});
    of_minor[minor] = here;
  }
  for (const auto& [major, minors] : named.minors_of) {
    const DeviceAccess of_major = granted(rules, type, major, {});
    const bool kept = of_major != table.rest;
    if (kept) table.majors.push_back({.major = major, .granted = of_major});
    for (const std::uint32_t minor : minors) {
      const auto found = of_minor.find(minor);
      const DeviceAccess wider = kept || found == of_minor.end() ? of_major : found->second;
      const DeviceAccess here = granted(rules, type, major, minor);
      if (here != wider) table.exact.push_back({.major = major, .minor = minor, .granted = here});
    }
  }
  return table;
}

}  // namespace

Result<DeviceTables> tabulate(std::span<const DeviceRule> rules) {
  TRY(check(rules));
  const Named character = numbers_named(rules, 'c');
  const Named block = numbers_named(rules, 'b');
  if (count(character) + count(block) > kMaxDeviceEntries)
    return fail(ErrorKind::kInvalid, "the device policy tells more than " + std::to_string(kMaxDeviceEntries) +
                                         " devices apart: rules for a minor number of any major number meet too many others");
  return DeviceTables{.character = table_of(rules, 'c', character), .block = table_of(rules, 'b', block)};
}

}  // namespace clawrun::cgroup
