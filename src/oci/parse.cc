#include "oci/parse.h"

#include <algorithm>

#include "base/text.h"

namespace clawrun::oci {

namespace {

constexpr std::size_t kMaxHostName = 64;  // __NEW_UTS_LEN of the kernel, for the domain's name too

constexpr std::uint32_t kMaxTimeout = INT32_MAX;  // what poll(2) and its kin can wait is less; no hook means more

// A number without leading zeros at the start of `text`, taken off it.
bool take_number(std::string_view& text, std::string_view& number) {
  const std::size_t end = std::min(text.find_first_not_of("0123456789"), text.size());
  number = text.substr(0, end);
  text.remove_prefix(end);
  return !number.empty() && (number.size() == 1 || number.front() != '0');
}

bool take(std::string_view& text, char c) {
  if (!text.starts_with(c)) return false;
  text.remove_prefix(1);
  return true;
}

// semver.org, "Backus-Naur Form Grammar"; what follows the patch level is only looked at for its characters.
bool is_version(std::string_view text, std::string_view& major) {
  std::string_view number;
  if (!take_number(text, major) || !take(text, '.')) return false;
  if (!take_number(text, number) || !take(text, '.')) return false;
  if (!take_number(text, number)) return false;
  if (text.empty()) return true;
  if (text.size() == 1 || (text.front() != '-' && text.front() != '+')) return false;
  return std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '+';
  });
}

Result<> read_version(const JsonObject& config, std::string& target) {
  const JsonValue value = TRY(config.require("ociVersion", "the version of the specification, such as \"1.3.0\""));
  const std::string_view text = TRY(value.text());
  std::string_view major;
  if (!is_version(text, major)) return value.is_not("a version such as \"1.3.0\"");
  if (major != "1")
    return value.wrong("version " + quoted_start(text) + " is not supported; it must be 1.0.0 or later, and below 2.0.0");
  target = text;
  return {};
}

Result<Root> root_of(const JsonValue& value) {
  const JsonObject object = TRY(value.object());
  Root root;
  TRY(read_required(object, "path", "the path of the root filesystem", root.path));
  if (root.path.empty()) return object.wrong_member("path", "is empty; it must be the path of the root filesystem");
  TRY(read_member(object, "readonly", root.readonly));
  return root;
}

Result<> read_host_name(const JsonObject& config, std::string_view key, std::string& target) {
  TRY(read_member(config, key, target));
  if (target.size() <= kMaxHostName) return {};
  return config.wrong_member(key, quoted_start(target) + " is longer than " + std::to_string(kMaxHostName) + " bytes");
}

Result<Hook> hook_of(const JsonValue& value) {
  const JsonObject object = TRY(value.object());
  Hook hook;
  const JsonValue path = TRY(object.require("path", "an absolute path"));
  TRY(read_absolute_path(path, hook.path));
  TRY(read_member(object, "args", hook.args));
  TRY(read_member(object, "env", hook.env));
  TRY(read_member(object, "timeout", hook.timeout_s, 1U, kMaxTimeout));
  return hook;
}

Result<Hooks> hooks_of(const JsonValue& value) {
  const JsonObject object = TRY(value.object());
  Hooks hooks;
  TRY(read_list(object, "prestart", "hooks", hooks.prestart, hook_of));
  TRY(read_list(object, "createRuntime", "hooks", hooks.create_runtime, hook_of));
  TRY(read_list(object, "createContainer", "hooks", hooks.create_container, hook_of));
  TRY(read_list(object, "startContainer", "hooks", hooks.start_container, hook_of));
  TRY(read_list(object, "poststart", "hooks", hooks.poststart, hook_of));
  TRY(read_list(object, "poststop", "hooks", hooks.poststop, hook_of));
  return hooks;
}

Result<Config> config_of(const JsonValue& value) {
  const JsonObject object = TRY(value.object());
  Config config;
  TRY(read_version(object, config.oci_version));
  const JsonValue root = TRY(object.require("root", "an object with the path of the root filesystem"));
  config.root = TRY(root_of(root));
  if (const auto process = object.find("process")) config.process = TRY(process_of(*process));
  if (const auto linux_part = object.find("linux")) config.linux = TRY(linux_of(*linux_part));
  const UserMaps user{config.linux.uid_mappings, config.linux.gid_mappings};
  TRY(read_list(object, "mounts", "mounts", config.mounts, [&](const JsonValue& mount) { return mount_of(mount, user); }));
  TRY(read_host_name(object, "hostname", config.hostname));
  TRY(read_host_name(object, "domainname", config.domainname));
  if (const auto hooks = object.find("hooks")) config.hooks = TRY(hooks_of(*hooks));
  TRY(read_member(object, "annotations", config.annotations));
  return config;
}

}  // namespace

Result<> read_id_map(const JsonObject& object, std::string_view key, std::vector<IdMapping>& target) {
  const auto overlaps = [](std::uint32_t a, std::uint32_t a_size, std::uint32_t b, std::uint32_t b_size) {
    return a < std::uint64_t{b} + b_size && b < std::uint64_t{a} + a_size;
  };
  return read_list(object, key, "id ranges", target, [&](const JsonValue& value) -> Result<IdMapping> {
    constexpr std::size_t kMaxRanges = 340;  // UID_GID_MAP_MAX_EXTENTS: user_namespaces(7)
    if (target.size() == kMaxRanges) return value.wrong("more than " + std::to_string(kMaxRanges) + " ranges in one map");
    const JsonObject range = TRY(value.object());
    IdMapping map;
    TRY(read_required(range, "containerID", "the first id inside", map.container_id));
    TRY(read_required(range, "hostID", "the first id outside", map.host_id));
    TRY(read_required(range, "size", "the number of ids", map.size, 1U, UINT32_MAX));
    // The last of the 2^32 ids, -1, is none.
    if (map.size > UINT32_MAX - map.container_id || map.size > UINT32_MAX - map.host_id)
      return range.wrong_member("size",
                                std::to_string(map.size) + " ids from there go beyond the largest id, " + std::to_string(kMaxId));
    for (const IdMapping& other : target) {
      if (overlaps(map.container_id, map.size, other.container_id, other.size))
        return value.wrong("ids inside overlap with those of another range of the map");
      if (overlaps(map.host_id, map.size, other.host_id, other.size))
        return value.wrong("ids outside overlap with those of another range of the map");
    }
    return map;
  });
}

Result<> read_absolute_path(const JsonValue& value, std::string& target) {
  const std::string_view text = TRY(value.text());
  if (!text.starts_with('/')) return value.is_not("an absolute path");
  target = text;
  return {};
}

Result<> read_processor_list(const JsonValue& value, std::string& target) {
  const std::string_view text = TRY(value.text());
  const auto trimmed = [](std::string_view part) {
    while (part.starts_with(' ')) part.remove_prefix(1);
    while (part.ends_with(' ')) part.remove_suffix(1);
    return part;
  };
  constexpr std::uint64_t kMaxNumber = 65535;  // far above CONFIG_NR_CPUS and the nodes of any kernel
  target.clear();
  for (const std::string_view untrimmed : split(text, ',')) {
    const std::string_view part = trimmed(untrimmed);
    if (part.empty()) continue;
    const std::size_t dash = part.find('-');
    const auto first = parse_unsigned(part.substr(0, dash), kMaxNumber);
    const auto last = dash == std::string_view::npos ? first : parse_unsigned(part.substr(dash + 1), kMaxNumber);
    if (!first || !last || *first > *last) return value.is_not("a list of numbers and ranges such as \"0-2,7\"");
    if (!target.empty()) target += ',';
    target += part;
  }
  return {};
}

bool is_file_name(std::string_view name) {
  return !name.empty() && name != "." && name != ".." && name.find('/') == std::string_view::npos;
}

Result<Config> parse_config(std::string_view json) {
  const JsonDocument document = TRY(JsonDocument::parse(json, kMaxConfigBytes));
  return config_of(document.root());
}

Result<Process> parse_process(std::string_view json) {
  const JsonDocument document = TRY(JsonDocument::parse(json, kMaxConfigBytes));
  return process_of(document.root());
}

Result<Resources> parse_resources(std::string_view json) {
  const JsonDocument document = TRY(JsonDocument::parse(json, kMaxConfigBytes));
  return resources_of(document.root());
}

}  // namespace clawrun::oci
