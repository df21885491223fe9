#include <algorithm>
#include <array>
#include <cerrno>
#include <map>
#include <string_view>

#include "base/text.h"
#include "cgroup/devices.h"
#include "cgroup/files.h"

namespace clawrun::cgroup {

namespace {

constexpr const char* kAllow = "devices.allow";
constexpr const char* kDeny = "devices.deny";
constexpr const char* kEverything = "a *:* rwm";

// "c 1:3" and which accesses its line names.
using Lines = std::map<std::string, DeviceAccess>;

std::string letters(DeviceAccess accesses) {
  std::string text;
  if ((accesses & 2) != 0) text += 'r';
  if ((accesses & 4) != 0) text += 'w';
  if ((accesses & kMknod) != 0) text += 'm';
  return text;
}

DeviceAccess accesses_of(std::string_view text) {
  int accesses = 0;
  for (const char letter : text) accesses |= letter == 'r' ? 2 : letter == 'w' ? 4 : letter == 'm' ? kMknod : 0;
  return static_cast<DeviceAccess>(accesses);
}

std::string name_of(char type, const DeviceTable::Entry& entry) {
  const auto number = [](const std::optional<std::uint32_t>& value) { return value ? std::to_string(*value) : std::string("*"); };
  return std::string(1, type) + " " + number(entry.major) + ":" + number(entry.minor);
}

// The kernel allows an access that one line covers as a whole. mknod(2) asks for that alone, open(2) for reading, writing or
// both.
DeviceAccess lacking_in(DeviceAccess granted, std::span<const DeviceAccess> wider) {
  const auto covered = [&](int accesses) {
    return std::ranges::any_of(wider, [accesses](DeviceAccess line) { return (accesses & ~line) == 0; });
  };
  int lacking = 0;
  for (const int part : {granted & kMknod, granted & kReadAndWrite})
    if (!covered(part)) lacking |= part;
  return static_cast<DeviceAccess>(lacking);
}

// The entries of `table` that name every device that `entry` does, and more.
std::vector<DeviceAccess> wider_than(const DeviceTable& table, const DeviceTable::Entry& entry) {
  std::vector<DeviceAccess> wider{table.rest};
  if (!entry.major || !entry.minor) return wider;
  for (const DeviceTable::Entry& row : table.majors)
    if (row.major == entry.major) wider.push_back(row.granted);
  for (const DeviceTable::Entry& row : table.minors)
    if (row.minor == entry.minor) wider.push_back(row.granted);
  return wider;
}

// A line is about what it names and all that is narrower, whatever narrower lines say.
Failure inexpressible(char type, const DeviceTable::Entry& entry, bool grants_all) {
  const std::string name = name_of(type, entry);
  return fail(ErrorKind::kUnsupported,
              "device policy: the devices controller of cgroup v1 cannot " +
                  (grants_all ? "grant " + name + " again, which a wider rule denies: leave that rule out"
                              : "deny " + name + " what a wider rule grants: grant the other devices one by one") +
                  ", or use cgroup v2");
}

struct Policy {
  bool grants_all = false;  // `lines` are what is denied of it; else they are all that is granted
  Lines lines;
};

Result<> add_line(char type, const DeviceTable& table, const DeviceTable::Entry& entry, Policy& policy) {
  const std::vector<DeviceAccess> wider = wider_than(table, entry);
  for (const DeviceAccess other : wider)
    if ((other & ~entry.granted) != 0) return inexpressible(type, entry, policy.grants_all);
  const DeviceAccess lacking = lacking_in(entry.granted, wider);
  if (lacking != 0) policy.lines[name_of(type, entry)] = lacking;
  return {};
}

Result<> add_lines(char type, const DeviceTable& table, Policy& policy) {
  if (table.rest != 0) policy.lines[name_of(type, {})] = table.rest;
  for (const auto* entries : {&table.minors, &table.majors, &table.exact})
    for (const DeviceTable::Entry& entry : *entries) TRY(add_line(type, table, entry, policy));
  return {};
}

// What is denied of what is granted.
DeviceTable complement(DeviceTable table) {
  const auto turn = [](DeviceAccess& granted) { granted = static_cast<DeviceAccess>(~granted & kFullAccess); };
  for (auto* entries : {&table.exact, &table.majors, &table.minors})
    for (DeviceTable::Entry& entry : *entries) turn(entry.granted);
  turn(table.rest);
  return table;
}

Result<Policy> policy_of(std::span<const DeviceRule> rules) {
  const DeviceTables tables = TRY(tabulate(rules));
  Policy policy{.grants_all = tables.character.rest == kFullAccess && tables.block.rest == kFullAccess};
  TRY(add_lines('c', policy.grants_all ? complement(tables.character) : tables.character, policy));
  TRY(add_lines('b', policy.grants_all ? complement(tables.block) : tables.block, policy));
  return policy;
}

std::vector<DeviceLine> from_scratch(const Policy& policy) {
  // The first line forgets whatever was there before, which a line that grants everything alone does not.
  std::vector<DeviceLine> result{{kDeny, kEverything}};
  if (policy.grants_all) result.push_back({kAllow, kEverything});
  for (const auto& [name, accesses] : policy.lines)
    result.push_back({policy.grants_all ? kDeny : kAllow, name + " " + letters(accesses)});
  return result;
}

// Nothing where devices.list shows a group that grants everything: of its exceptions it does not tell.
std::optional<Lines> parse_list(std::string_view devices_list) {
  Lines lines;
  for (const std::string_view line : split(devices_list, '\n')) {
    const std::size_t blank = line.rfind(' ');
    if (blank == std::string_view::npos) continue;
    if (line.front() == 'a') return std::nullopt;
    lines[std::string(line.substr(0, blank))] = accesses_of(line.substr(blank + 1));
  }
  return lines;
}

// A line for each access that `left` has and `right` has not.
void add_difference(const Lines& left, const Lines& right, const char* file, std::vector<DeviceLine>& out) {
  for (const auto& [name, accesses] : left) {
    const auto found = right.find(name);
    const int more = accesses & ~(found == right.end() ? 0 : found->second);
    if (more != 0) out.push_back({file, name + " " + letters(static_cast<DeviceAccess>(more))});
  }
}

Failure write_failure(const std::string& directory, const DeviceLine& line, Error error) {
  if (error.errno_value == EPERM) {
    error.kind = ErrorKind::kUnsupported;
    error.message += "; it needs CAP_SYS_ADMIN outside of any user namespace";
    if (line.file == kAllow) error.message += ", and the group above it must grant the same";
  } else if (error.errno_value == EINVAL) {
    error.message += "; a group with others below it changes between granting all and granting some only when those are gone";
  }
  return while_doing("device policy of " + shown(directory), std::move(error));
}

}  // namespace

Result<std::vector<DeviceLine>> device_lines_v1(std::span<const DeviceRule> rules) {
  const Policy policy = TRY(policy_of(rules));
  return from_scratch(policy);
}

Result<std::vector<DeviceLine>> device_changes_v1(std::span<const DeviceRule> rules, std::string_view devices_list) {
  const Policy policy = TRY(policy_of(rules));
  const std::optional<Lines> before = parse_list(devices_list);
  if (!before || policy.grants_all) return from_scratch(policy);
  std::vector<DeviceLine> changes;
  add_difference(policy.lines, *before, kAllow, changes);
  add_difference(*before, policy.lines, kDeny, changes);
  return changes;
}

Result<> write_device_rules_v1(const std::string& directory, std::span<const DeviceRule> rules) {
  const UniqueFd group = TRY(open_directory(directory));
  const std::string list = TRY(read_control(group.get(), "devices.list"));
  const std::vector<DeviceLine> changes = TRY(device_changes_v1(rules, list));
  for (const DeviceLine& line : changes) {
    auto written = write_control(group.get(), line.file.c_str(), line.text);
    if (!written) return write_failure(directory, line, std::move(written).error());
  }
  return {};
}

}  // namespace clawrun::cgroup
