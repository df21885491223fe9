#include <sched.h>
#include <sys/mount.h>

#include <algorithm>

#include "base/text.h"
#include "oci/parse.h"

namespace clawrun::oci {

namespace {

constexpr std::uint64_t kCloneNewTime = 0x80;  // CLONE_NEWTIME, which older C libraries do not have

constexpr JsonWord<std::uint64_t> kNamespaces[] = {
    {"pid", CLONE_NEWPID}, {"network", CLONE_NEWNET}, {"mount", CLONE_NEWNS},      {"ipc", CLONE_NEWIPC},
    {"uts", CLONE_NEWUTS}, {"user", CLONE_NEWUSER},   {"cgroup", CLONE_NEWCGROUP}, {"time", kCloneNewTime},
};

// The empty word is what Go writes for "not set".
constexpr JsonWord<std::uint64_t> kPropagations[] = {
    {"shared", MS_SHARED},
    {"slave", MS_SLAVE},
    {"private", MS_PRIVATE},
    {"unbindable", MS_UNBINDABLE},
    {"rshared", MS_SHARED | MS_REC},
    {"rslave", MS_SLAVE | MS_REC},
    {"rprivate", MS_PRIVATE | MS_REC},
    {"runbindable", MS_UNBINDABLE | MS_REC},
};

constexpr JsonWord<char> kDeviceTypes[] = {{"c", 'c'}, {"b", 'b'}, {"u", 'c'}, {"p", 'p'}};

constexpr std::uint32_t kMaxMajor = (1U << 12U) - 1;  // dev_t inside the kernel
constexpr std::uint32_t kMaxMinor = (1U << 20U) - 1;
constexpr std::uint32_t kPermissionBits = 07777;

Result<Namespace> namespace_of(const JsonValue& value, const std::vector<Namespace>& others) {
  const JsonObject object = TRY(value.object());
  const JsonValue type = TRY(object.require("type", "a type of namespace, such as pid"));
  Namespace space;
  space.flag = TRY(word_of(type, kNamespaces));
  if (std::ranges::any_of(others, [&](const Namespace& other) { return other.flag == space.flag; }))
    return type.wrong("a namespace of this type is there twice");
  TRY(read_member(object, "path", space.path));
  if (!space.path.empty() && space.path.front() != '/')
    return object.wrong_member("path", quoted_start(space.path) + " is not an absolute path");
  return space;
}

Result<> read_time_offsets(const JsonValue& value, std::map<std::string, TimeOffset>& target) {
  constexpr JsonWord<bool> kClocks[] = {{"monotonic", true}, {"boottime", true}};
  constexpr std::uint32_t kMaxNanoseconds = 999'999'999;
  const JsonObject clocks = TRY(value.object());
  for (const JsonValue member : clocks.members()) {
    if (std::ranges::none_of(kClocks, [&](const auto& clock) { return clock.name == member.key(); }))
      return member.wrong("there is no such clock; it must be monotonic or boottime");
    if (member.kind() == JsonKind::kNull) continue;
    const JsonObject object = TRY(member.object());
    TimeOffset offset;
    TRY(read_member(object, "secs", offset.seconds));
    TRY(read_member(object, "nanosecs", offset.nanoseconds, 0U, kMaxNanoseconds));
    target.insert_or_assign(std::string(member.key()), offset);
  }
  return {};
}

Result<Device> device_of(const JsonValue& value) {
  const JsonObject object = TRY(value.object());
  Device device;
  const JsonValue type = TRY(object.require("type", "one of c, b, u, p"));
  device.type = TRY(word_of(type, kDeviceTypes));
  const JsonValue path = TRY(object.require("path", "an absolute path"));
  TRY(read_absolute_path(path, device.path));
  const bool is_fifo = device.type == 'p';
  for (const auto& [key, number, max] :
       {std::tuple{"major", &device.major, kMaxMajor}, std::tuple{"minor", &device.minor, kMaxMinor}}) {
    // Some engines write -1 for a FIFO, which has no numbers.
    if (is_fifo) continue;
    TRY(read_required(object, key, "a device number", *number, 0U, max));
  }
  // Docker gives the mode as stat(2) does, with the file's type in it.
  TRY(read_member(object, "fileMode", device.file_mode));
  if (device.file_mode) *device.file_mode &= kPermissionBits;
  TRY(read_member(object, "uid", device.uid, 0U, kMaxId));
  TRY(read_member(object, "gid", device.gid, 0U, kMaxId));
  return device;
}

// dev_valid_name() of the kernel, and no '%', which is a pattern to the call that renames.
bool is_interface_name(std::string_view name) {
  constexpr std::size_t kMaxInterfaceName = 15;
  return is_file_name(name) && name.size() <= kMaxInterfaceName && name.find(':') == std::string_view::npos &&
         name.find('%') == std::string_view::npos &&
         std::ranges::all_of(name, [](char c) { return static_cast<unsigned char>(c) > ' ' && c != 0x7f; });
}

Result<> read_net_devices(const JsonValue& value, std::vector<NetDevice>& target) {
  const JsonObject devices = TRY(value.object());
  for (const JsonValue member : devices.members()) {
    if (!is_interface_name(member.key())) return member.wrong("the key is not the name of a network interface");
    if (member.kind() == JsonKind::kNull) continue;
    const JsonObject object = TRY(member.object());
    NetDevice device;
    device.host_name = member.key();
    TRY(read_member(object, "name", device.name));
    if (!device.name.empty() && !is_interface_name(device.name))
      return object.wrong_member("name", quoted_start(device.name) + " is not the name of a network interface");
    const auto inside = [](const NetDevice& d) -> const std::string& { return d.name.empty() ? d.host_name : d.name; };
    // The same key again replaces what was there.
    std::erase_if(target, [&](const NetDevice& other) { return other.host_name == device.host_name; });
    if (std::ranges::any_of(target, [&](const NetDevice& other) { return inside(other) == inside(device); }))
      return object.wrong("two devices would have the name " + quoted_start(inside(device)) + " inside");
    target.push_back(std::move(device));
  }
  return {};
}

// The key becomes a path below /proc/sys, with '/' for each dot, and a dot for each '/', which is how a dot in the name of an
// interface is written: sysctl(8). No part of it may lead elsewhere: CVE-2022-0811 and what is like it.
bool is_sysctl_key(std::string_view key) {
  const auto is_part = [](std::string_view part) { return !part.empty() && part != "/" && part != "//"; };
  return std::ranges::all_of(split(key, '.'), is_part) &&
         std::ranges::all_of(key, [](char c) { return static_cast<unsigned char>(c) > ' ' && c != 0x7f; });
}

// "net/ipv4/ip_forward" is the same with the two exchanged.
std::string dotted_key(std::string_view key) {
  std::string dotted(key);
  const std::size_t first = key.find_first_of("./");
  if (first == std::string_view::npos || key[first] == '.') return dotted;
  for (char& c : dotted) c = c == '/' ? '.' : c == '.' ? '/' : c;
  return dotted;
}

Result<> read_sysctl(const JsonValue& value, std::map<std::string, std::string>& target) {
  std::map<std::string, std::string> as_written;
  TRY(read(value, as_written));
  for (auto& [key, text] : as_written) target[dotted_key(key)] = std::move(text);
  const JsonObject settings = TRY(value.object());
  for (const JsonValue member : settings.members()) {
    if (!is_sysctl_key(dotted_key(member.key())))
      return member.wrong("the key is not the name of a setting such as \"net.ipv4.ip_forward\"");
    if (member.kind() == JsonKind::kNull) continue;
    const std::string_view text = TRY(member.text());
    if (text.find('\n') != std::string_view::npos) return member.wrong(quoted_start(text) + " contains a newline");
  }
  return {};
}

Result<> read_absolute_paths(const JsonObject& object, std::string_view key, std::vector<std::string>& target) {
  return read_list(object, key, "absolute paths", target, [](const JsonValue& value) -> Result<std::string> {
    std::string path;
    TRY(read_absolute_path(value, path));
    return path;
  });
}

Result<> read_propagation(const JsonObject& object, std::uint64_t& target) {
  const auto member = object.find("rootfsPropagation");
  if (!member) return {};
  const std::string_view text = TRY(member->text());
  if (!text.empty()) target = TRY(word_of(*member, kPropagations));
  return {};
}

Result<> read_kernel_objects(const JsonObject& object, Linux& out) {
  TRY(read_list(object, "namespaces", "namespaces", out.namespaces,
                [&](const JsonValue& space) { return namespace_of(space, out.namespaces); }));
  TRY(read_id_map(object, "uidMappings", out.uid_mappings));
  TRY(read_id_map(object, "gidMappings", out.gid_mappings));
  if (const auto offsets = object.find("timeOffsets")) TRY(read_time_offsets(*offsets, out.time_offsets));
  TRY(read_list(object, "devices", "devices", out.devices, device_of));
  if (const auto devices = object.find("netDevices")) TRY(read_net_devices(*devices, out.net_devices));
  return {};
}

}  // namespace

Result<Linux> linux_of(const JsonValue& value) {
  const JsonObject object = TRY(value.object());
  Linux out;
  TRY(read_kernel_objects(object, out));
  TRY(read_member(object, "cgroupsPath", out.cgroups_path));
  if (const auto resources = object.find("resources")) out.resources = TRY(resources_of(*resources));
  if (const auto sysctl = object.find("sysctl")) TRY(read_sysctl(*sysctl, out.sysctl));
  if (const auto seccomp = object.find("seccomp")) out.seccomp = TRY(seccomp_of(*seccomp));
  TRY(read_propagation(object, out.rootfs_propagation));
  TRY(read_absolute_paths(object, "maskedPaths", out.masked_paths));
  TRY(read_absolute_paths(object, "readonlyPaths", out.readonly_paths));
  TRY(read_member(object, "mountLabel", out.mount_label));
  if (const auto rdt = object.find("intelRdt")) out.intel_rdt = TRY(intel_rdt_of(*rdt));
  if (const auto policy = object.find("memoryPolicy")) out.memory_policy = TRY(memory_policy_of(*policy));
  if (const auto personality = object.find("personality")) out.personality = TRY(personality_of(*personality));
  return out;
}

}  // namespace clawrun::oci
