#include <linux/mount.h>
#include <linux/sched.h>

#include <nlohmann/json.hpp>

#include "cgroup/writes.h"
#include "report/report.h"
#include "tables/capabilities.h"

namespace clawrun::report {

namespace {

using Json = nlohmann::ordered_json;
using child::Op;

struct FlagRow {
  std::uint64_t bit;
  const char* name;
};

constexpr FlagRow kNamespaces[] = {{CLONE_NEWUSER, "user"}, {CLONE_NEWNS, "mount"}, {CLONE_NEWPID, "pid"},
                                   {CLONE_NEWIPC, "ipc"},   {CLONE_NEWUTS, "uts"},  {CLONE_NEWCGROUP, "cgroup"}};
constexpr FlagRow kMountAttributes[] = {
    {MOUNT_ATTR_RDONLY, "ro"}, {MOUNT_ATTR_NOSUID, "nosuid"}, {MOUNT_ATTR_NODEV, "nodev"}, {MOUNT_ATTR_NOEXEC, "noexec"}};
constexpr FlagRow kFsRights[] = {
    {1U << 0U, "execute"},    {1U << 1U, "write_file"},  {1U << 2U, "read_file"},  {1U << 3U, "read_dir"},
    {1U << 4U, "remove_dir"}, {1U << 5U, "remove_file"}, {1U << 6U, "make_char"},  {1U << 7U, "make_dir"},
    {1U << 8U, "make_reg"},   {1U << 9U, "make_sock"},   {1U << 10U, "make_fifo"}, {1U << 11U, "make_block"},
    {1U << 12U, "make_sym"},  {1U << 13U, "refer"},      {1U << 14U, "truncate"},  {1U << 15U, "ioctl_dev"}};
constexpr FlagRow kNetRights[] = {{1U << 0U, "bind_tcp"}, {1U << 1U, "connect_tcp"}};
constexpr FlagRow kScopes[] = {{1U << 0U, "abstract_unix_socket"}, {1U << 1U, "signal"}};

template <std::size_t N>
Json names_of(std::uint64_t bits, const FlagRow (&rows)[N]) {
  Json names = Json::array();
  for (const FlagRow& row : rows)
    if ((bits & row.bit) != 0) names.push_back(row.name);
  return names;
}

struct OpRow {
  Op op;
  const char* name;
};

constexpr OpRow kOps[] = {{Op::kFilesystem, "filesystem"}, {Op::kBind, "bind"},           {Op::kEnter, "enter"},
                          {Op::kDevice, "device"},         {Op::kDirectory, "directory"}, {Op::kFile, "file"},
                          {Op::kSymlink, "symlink"},       {Op::kMask, "mask"},           {Op::kSelfBind, "self_bind"},
                          {Op::kAttributes, "attributes"}, {Op::kHostname, "hostname"},   {Op::kCover, "cover"}};

std::string octal(std::uint32_t mode) {
  std::string text;
  for (std::uint32_t rest = mode; rest != 0; rest /= 8) text.insert(text.begin(), static_cast<char>('0' + rest % 8));
  return "0" + text;
}

Json operation_json(const plan::Operation& op) {
  Json json;
  for (const OpRow& row : kOps)
    if (row.op == op.op) json["op"] = row.name;
  if (!op.source.empty()) json["source"] = op.source;
  if (op.op != Op::kHostname) json["target"] = "/" + op.target;
  if (!op.options.empty()) {
    json["options"] = Json::object();
    for (const auto& [key, value] : op.options) json["options"][key] = value;
  }
  if (op.attr_set != 0) json["attributes"] = names_of(op.attr_set, kMountAttributes);
  if (op.op == Op::kDevice) json["device"] = std::to_string(op.mode >> 8U) + ":" + std::to_string(op.mode & 255U);
  if (op.op == Op::kDirectory || op.op == Op::kFile || op.op == Op::kCover) json["mode"] = octal(op.mode);
  // A file of the caller's may be large.
  constexpr std::size_t kShownBytes = 4096;
  if (op.data && op.data->size() > kShownBytes)
    json["data_bytes"] = op.data->size();
  else if (op.data)
    json["data"] = *op.data;
  if (op.recursive) json["recursive"] = true;
  if (op.no_follow) json["no_follow"] = true;
  if (op.by_parent) json["opened_by"] = "supervisor";
  if (op.idmap)
    json["idmap"] = op.idmap->whole_range ? Json("range") : Json{{"disk_uid", op.idmap->uid}, {"disk_gid", op.idmap->gid}};
  return json;
}

Json ids_json(const plan::IdMaps& ids, bool groups) {
  Json lines = Json::array();
  for (const plan::IdMapLine& line : groups ? ids.gids : ids.uids) {
    Json one{{"inside", line.inside}, {"count", line.count}};
    if (ids.outside == plan::IdMaps::Outside::kFixed || ids.outside == plan::IdMaps::Outside::kOwn) one["outside"] = line.outside;
    if (ids.outside == plan::IdMaps::Outside::kPerProcess)
      one["outside"] = std::to_string(ids.range_start) + " + pid % " + std::to_string(ids.range_count);
    if (ids.outside == plan::IdMaps::Outside::kPerBlock)
      one["outside"] =
          "a free block of " + std::to_string(ids.range_start) + ".." + std::to_string(ids.range_start + (ids.range_count - 1));
    lines.push_back(std::move(one));
  }
  return lines;
}

Json landlock_json(const plan::Landlock& landlock) {
  if (!landlock.enabled) return nullptr;
  Json json;
  json["handled_fs"] = names_of(landlock.handled_fs, kFsRights);
  json["handled_net"] = names_of(landlock.handled_net, kNetRights);
  json["scoped"] = names_of(landlock.scoped, kScopes);
  json["rules"] = Json::array();
  for (const plan::LandlockRule& rule : landlock.rules) {
    Json one = rule.path.empty() ? Json{{"descriptor", rule.fd}} : Json{{"path", rule.path}};
    one["access"] = names_of(rule.access, kFsRights);
    json["rules"].push_back(std::move(one));
  }
  if (landlock.command_access != 0) json["command_access"] = names_of(landlock.command_access, kFsRights);
  return json;
}

// A filter is thousands of numbers: its size, and a hash by which two plans can be compared (FNV-1a; not for security).
Json filter_json(const std::vector<sock_filter>& filter) {
  std::uint64_t hash = 14695981039346656037U;
  for (const sock_filter& one : filter)
    for (const std::uint64_t part : {std::uint64_t{one.code}, std::uint64_t{one.jt}, std::uint64_t{one.jf}, std::uint64_t{one.k}})
      hash = (hash ^ part) * 1099511628211U;
  return Json{{"instructions", filter.size()}, {"fnv1a", std::to_string(hash)}};
}

Json capabilities_json(std::uint64_t bits) {
  Json names = Json::array();
  for (std::size_t i = 0; i < tables::kCapabilities.size(); ++i)
    if ((bits >> i & 1U) != 0) names.push_back("CAP_" + std::string(tables::kCapabilities[i]));
  return names;
}

constexpr std::string_view kStreams[] = {"inherited", "pipe", "terminal"};

Json confinement_json(const plan::Plan& plan) {
  Json json;
  json["capabilities"] = capabilities_json(plan.keep_capabilities);
  json["no_new_privs"] = true;
  json["landlock"] = landlock_json(plan.landlock);
  json["seccomp"] = {{"profile", plan.seccomp_name}, {"filters", Json::array()}, {"start_cookie", plan.has_start_cookie}};
  json["seccomp"]["loaded_before_init"] = plan.filters_allow_read;
  for (const auto& filter : plan.filters) json["seccomp"]["filters"].push_back(filter_json(filter));
  json["rlimits"] = Json::array();
  for (const child::Rlimit& limit : plan.rlimits)
    json["rlimits"].push_back({{"resource", limit.resource}, {"soft", limit.soft}, {"hard", limit.hard}});
  return json;
}

Json writes_json(const std::vector<cgroup::Write>& writes) {
  Json json = Json::object();
  for (const cgroup::Write& write : writes) {
    // Several disks have a line each in one file.
    Json& value = json[write.file];
    value = value.is_null() ? Json(write.value) : Json(value.get<std::string>() + "; " + write.value);
  }
  return json;
}

Json cgroup_json(const plan::Plan& plan) {
  if (!plan.cgroup) return {};
  const cgroup::Place& place = plan.cgroup->place;
  const cgroup::Limits& limits = plan.cgroup->limits;
  Json json;
  json["driver"] = place.driver == cgroup::Driver::kSystemd ? "systemd" : "cgroupfs";
  if (place.driver == cgroup::Driver::kSystemd) json["manager"] = place.user_manager ? "user" : "system";
  if (!place.path.empty()) json["path"] = place.path;
  if (!place.v2.directory.empty() || place.driver == cgroup::Driver::kSystemd) {
    if (!place.v2.directory.empty()) json["v2"]["directory"] = place.v2.directory;
    json["v2"]["controllers"] = place.v2.controllers;
    json["v2"]["writes"] = writes_json(cgroup::writes_v2(cgroup::only(limits, place.v2.controllers)));
  }
  for (const cgroup::Place::Base& base : place.v1) {
    Json& hierarchy = json["v1"].emplace_back();
    hierarchy["directory"] = base.directory;
    hierarchy["controllers"] = base.controllers;
    if (const auto writes = cgroup::writes_v1(cgroup::only(limits, base.controllers))) hierarchy["writes"] = writes_json(*writes);
  }
  if (limits.devices) json["device_rules"] = limits.devices->size();
  return json;
}

Json rule_texts(const std::vector<spec::HostRule>& rules) {
  Json texts = Json::array();
  for (const spec::HostRule& rule : rules) texts.push_back(rule.text);
  return texts;
}

// Of a credential only where it comes from: the plan never has it.
Json gateway_json(const plan::Plan& plan) {
  const plan::Gateway& gateway = *plan.gateway;
  Json json;
  json["allow"] = rule_texts(gateway.allow);
  json["deny"] = rule_texts(gateway.deny);
  json["ipv6"] = gateway.has_ipv6;
  json["sockets"] = plan.new_network->listeners.size();
  json["connections"] = gateway.connections;
  json["connect_timeout_ms"] = gateway.connect_timeout.count();
  json["rate_bytes_per_s"] = gateway.rate_bytes_per_s == 0 ? Json() : Json(gateway.rate_bytes_per_s);
  json["max_bytes"] = gateway.most_bytes == 0 ? Json() : Json(gateway.most_bytes);
  json["log"] = gateway.log.empty() ? Json() : Json(gateway.log);
  json["credentials"] = Json::object();
  for (const spec::Credential& one : gateway.credentials)
    json["credentials"][one.name] = (one.source == spec::Credential::Source::kFile ? "file:" : "env:") + one.where;
  json["inject"] = Json::array();
  for (const spec::Injection& one : gateway.injections)
    json["inject"].push_back({{"host", one.host}, {"header", one.header}, {"credential", one.credential}});
  return json;
}

}  // namespace

std::string plan_to_json(const plan::Plan& plan) {
  Json json;
  json["rootfs"] = plan.rootfs;
  json["profiles"] = plan.profiles;
  if (!plan.name.empty()) json["name"] = plan.name;
  json["cgroup"] = cgroup_json(plan);
  if (plan.core_scheduling) json["core_scheduling"] = true;
  json["namespaces"] = names_of(plan.clone_flags, kNamespaces);
  if (plan.new_network) json["namespaces"].push_back("network");
  if (plan.new_time_namespace) json["namespaces"].push_back("time");
  if (!plan.network_namespace.empty()) json["network_namespace"] = plan.network_namespace;
  if (plan.gateway) json["gateway"] = gateway_json(plan);
  json["ids"] = {{"uid", plan.uid},
                 {"gid", plan.gid},
                 {"uid_map", ids_json(plan.ids, false)},
                 {"gid_map", ids_json(plan.ids, true)},
                 {"setgroups", plan.ids.deny_setgroups ? "deny" : "allow"},
                 {"written_by", plan.ids.with_helpers                             ? "newuidmap, newgidmap"
                                : plan.ids.outside == plan::IdMaps::Outside::kOwn ? "child"
                                                                                  : "supervisor"},
                 {"drop_groups", plan.drop_groups}};
  json["operations"] = Json::array();
  for (const plan::Operation& op : plan.operations) json["operations"].push_back(operation_json(op));
  json["confinement"] = confinement_json(plan);
  json["init"] = plan.init;
  json["streams"] = Json::array();
  for (const plan::Stream stream : plan.streams) json["streams"].push_back(kStreams[static_cast<std::size_t>(stream)]);
  json["give_pipes"] = plan.give_pipes;
  json["preserve_fds"] = plan.preserve_fds;
  json["umask"] = octal(plan.umask);
  json["workdir"] = plan.workdir;
  json["argv"] = plan.argv;
  json["candidates"] = plan.candidates;
  json["environment"] = plan.environment;
  json["timeout_ms"] = plan.timeout.count();
  json["grace_ms"] = plan.grace.count();
  if (plan.max_output_bytes) json["max_output_bytes"] = *plan.max_output_bytes;
  json["kernel"] = {{"clone3", plan.has_clone3}, {"openat2", plan.has_openat2}, {"close_range", plan.has_close_range}};
  json["degradations"] = plan.degradations;
  json["notes"] = plan.notes;
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace clawrun::report
