#include "report/bundle.h"

#include <linux/sched.h>
#include <sys/resource.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "report/bundle_parts.h"
#include "report/bundle_seccomp.h"
#include "seccomp/adjust.h"
#include "tables/capabilities.h"
#include "tables/landlock.h"

namespace clawrun::report {

namespace {

using Json = nlohmann::ordered_json;
using Words = std::vector<std::string>;

// Of what is written here only a time namespace is newer, and old runtimes refuse numbers above their own.
constexpr const char* kOciVersion = "1.0.2";
constexpr const char* kLandlockAnnotation = "run.clawrun.landlock";

// ---- who ----

bool maps(const std::vector<plan::IdMapLine>& lines, std::uint32_t inside) {
  return std::ranges::any_of(lines, [&](const plan::IdMapLine& line) { return inside - line.inside < line.count; });
}

// Ids that do not depend on a pid.
std::vector<plan::IdMapLine> fixed(const plan::IdMaps& ids, std::vector<plan::IdMapLine> lines, std::uint32_t first_host_id) {
  if (ids.outside == plan::IdMaps::Outside::kPerBlock) lines.at(0).outside = first_host_id;
  if (ids.outside != plan::IdMaps::Outside::kPerProcess) return lines;
  const std::uint32_t inside = lines.at(0).inside;
  lines = {{0, first_host_id, 1}};
  if (inside != 0) lines.push_back({inside, first_host_id + 1, 1});
  return lines;
}

BundleIds ids_of(const plan::Plan& plan, const BundleFacts& facts, Words& not_expressed) {
  BundleIds ids{fixed(plan.ids, plan.ids.uids, facts.first_host_id), fixed(plan.ids, plan.ids.gids, facts.first_host_id),
                plan.uid, plan.gid};
  if (plan.ids.outside == plan::IdMaps::Outside::kPerProcess || plan.ids.outside == plan::IdMaps::Outside::kPerBlock)
    not_expressed.push_back("each sandbox has host ids of its own; containers of this bundle have those from " +
                            std::to_string(facts.first_host_id) + " on, and root inside is one of them");
  if (maps(ids.uids, 0) && maps(ids.gids, 0)) return ids;
  // One id, the caller's: it must be root's, as which runtimes set a container up.
  not_expressed.push_back("--user " + std::to_string(plan.uid) + ":" + std::to_string(plan.gid) +
                          ": runtimes want id 0 mapped, and an ordinary user has one id to map: the command is uid 0 and gid 0, "
                          "without power (--id-mapping range, with subordinate ids, keeps the number)");
  ids.uids = {{0, ids.uids.at(0).outside, 1}};
  ids.gids = {{0, ids.gids.at(0).outside, 1}};
  ids.uid = ids.gid = 0;
  return ids;
}

Json mappings_json(const std::vector<plan::IdMapLine>& lines) {
  Json json = Json::array();
  for (const plan::IdMapLine& line : lines)
    json.push_back({{"containerID", line.inside}, {"hostID", line.outside}, {"size", line.count}});
  return json;
}

// ---- the process ----

Json capabilities_json(std::uint64_t bits) {
  Json names = Json::array();
  for (std::size_t i = 0; i < tables::kCapabilities.size(); ++i)
    if ((bits >> i & 1U) != 0) names.push_back("CAP_" + std::string(tables::kCapabilities[i]));
  Json json;
  for (const char* set : {"bounding", "effective", "permitted", "inheritable", "ambient"}) json[set] = names;
  return json;
}

struct RlimitRow {
  int resource;
  const char* type;
};

// Those of plan/compile_limits.cc.
constexpr RlimitRow kRlimits[] = {{RLIMIT_CORE, "RLIMIT_CORE"},   {RLIMIT_NOFILE, "RLIMIT_NOFILE"},
                                  {RLIMIT_NPROC, "RLIMIT_NPROC"}, {RLIMIT_FSIZE, "RLIMIT_FSIZE"},
                                  {RLIMIT_STACK, "RLIMIT_STACK"}, {RLIMIT_AS, "RLIMIT_AS"},
                                  {RLIMIT_CPU, "RLIMIT_CPU"}};

Json process_json(const plan::Plan& plan, const BundleIds& ids) {
  Json json;
  json["terminal"] = plan.streams[0] == plan::Stream::kTerminal;
  json["user"] = {{"uid", ids.uid}, {"gid", ids.gid}, {"umask", plan.umask}};
  json["args"] = plan.argv;
  json["env"] = plan.environment;
  json["cwd"] = plan.workdir;
  json["capabilities"] = capabilities_json(plan.keep_capabilities);
  json["rlimits"] = Json::array();
  for (const child::Rlimit& limit : plan.rlimits)
    json["rlimits"].push_back({{"type", std::ranges::find(kRlimits, limit.resource, &RlimitRow::resource)->type},
                               {"hard", limit.hard},
                               {"soft", limit.soft}});
  json["noNewPrivileges"] = true;
  return json;
}

struct NamespaceRow {
  std::uint64_t flag;
  const char* type;
};

constexpr NamespaceRow kNamespaces[] = {{CLONE_NEWUSER, "user"}, {CLONE_NEWNS, "mount"}, {CLONE_NEWPID, "pid"},
                                        {CLONE_NEWIPC, "ipc"},   {CLONE_NEWUTS, "uts"},  {CLONE_NEWCGROUP, "cgroup"}};

Json namespaces_json(const plan::Plan& plan) {
  Json json = Json::array();
  const auto add = [&](const char* type) { json.push_back(Json{{"type", type}}); };
  for (const NamespaceRow& row : kNamespaces)
    if ((plan.clone_flags & row.flag) != 0) add(row.type);
  if (plan.new_network) add("network");
  if (!plan.network_namespace.empty()) json.push_back(Json{{"type", "network"}, {"path", plan.network_namespace}});
  if (plan.new_time_namespace) add("time");
  return json;
}

// ---- Landlock, in the words of the annotation ----

// "": no Landlock.
std::string landlock_words(const plan::Plan& plan, Words& not_expressed) {
  const plan::Landlock& landlock = plan.landlock;
  if (!landlock.enabled) return {};
  std::string words = "on";
  if (landlock.handled_net != 0) words += " no-tcp";
  for (const plan::LandlockRule& rule : landlock.rules) {
    if (rule.path.empty() || rule.path == "/proc" || rule.path == "/dev") continue;
    if ((rule.access & tables::kLandlockWriteFile) == 0) continue;
    if (rule.path.find_first_of(", ") == std::string::npos) {
      words += " rw:" + rule.path;
      continue;
    }
    // Half of it would refuse what the sandbox may do.
    not_expressed.push_back("Landlock: the annotation cannot name " + rule.path + ", whose name has a blank or a comma");
    return {};
  }
  not_expressed.emplace_back(
      "Landlock is asked for by the annotation run.clawrun.landlock, which other runtimes ignore; "
      "files that are stdio cannot be opened again by their names in /dev");
  if (landlock.command_access != 0)
    not_expressed.emplace_back("--allow-exec: every program may be executed, not only the named ones");
  return words;
}

// ---- what is left ----

std::string text_of(std::chrono::milliseconds time) {
  return time.count() % 1000 == 0 ? std::to_string(time.count() / 1000) + "s" : std::to_string(time.count()) + "ms";
}

void add_not_expressed(const plan::Plan& plan, Words& into) {
  const bool has_terminal = plan.streams[0] == plan::Stream::kTerminal;
  const bool is_writable = std::ranges::none_of(
      plan.operations, [](const plan::Operation& op) { return op.op == child::Op::kAttributes && op.target.empty(); });
  const struct {
    bool holds;
    std::string text;
  } rows[] = {
      {plan.gateway.has_value(), "--network allow: a container has no gateway, so its network is a loopback interface alone"},
      {plan.timeout.count() != 0, "--timeout " + text_of(plan.timeout) + ": a container has no time limit"},
      {plan.init, "the command has an init over it that reaps, and passes signals on; here it is pid 1 itself (--no-init)"},
      {true, "a sandbox ends when clawrun does; a container outlives its runtime"},
      {!has_terminal, "a terminal of the caller is copied through a pipe; runtimes pass it on as it is"},
      {plan.max_output_bytes.has_value(), "--max-output: the command's streams are its own, however much it writes"},
      {is_writable, "--writable: a layer that is thrown away lies over the root; here the root is read-only"},
      {plan.core_scheduling, "--core-sched: no cookie of core scheduling"},
      {!plan.preserve_fds.empty(), "--preserve-fd: descriptors are passed by the runtime's own --preserve-fds"},
      {!plan.name.empty(), "--name " + plan.name + ": the container has the name that the runtime is given"},
      {plan.cgroup && !plan.cgroup->place.path.empty(), "--cgroup-path: the runtime chooses its cgroup"},
  };
  for (const auto& row : rows)
    if (row.holds) into.push_back(row.text);
}

Json linux_json(const plan::Plan& plan, const BundleFacts& facts, const BundleIds& ids, const BundleMounts& mounts) {
  Json json;
  json["uidMappings"] = mappings_json(ids.uids);
  json["gidMappings"] = mappings_json(ids.gids);
  json["namespaces"] = namespaces_json(plan);
  if (const std::string resources = resources_json(plan, facts); !resources.empty()) json["resources"] = Json::parse(resources);
  json["maskedPaths"] = mounts.masked_paths;
  json["readonlyPaths"] = mounts.readonly_paths;
  return json;
}

Result<Bundle> make_bundle(const plan::Plan& plan, const BundleFacts& facts) {
  Bundle bundle;
  bundle.root_mode = facts.root_mode;
  const BundleIds ids = ids_of(plan, facts, bundle.not_expressed);
  if (plan.change_identity) bundle.setup_gid = ids.gids.at(0).outside;
  const BundleMounts mounts = make_mounts(plan, facts, ids, bundle);
  Json config;
  config["ociVersion"] = kOciVersion;
  config["process"] = process_json(plan, ids);
  config["root"] = {{"path", kBundleRoot}, {"readonly", true}};
  config["hostname"] = mounts.hostname;
  config["mounts"] = Json::parse(mounts.mounts);
  config["linux"] = linux_json(plan, facts, ids, mounts);
  const std::string seccomp = TRY(seccomp_json(plan, facts.seccomp, bundle.not_expressed));
  if (!seccomp.empty()) config["linux"]["seccomp"] = Json::parse(seccomp);
  const std::string landlock = landlock_words(plan, bundle.not_expressed);
  if (!landlock.empty()) config["annotations"][kLandlockAnnotation] = landlock;
  add_not_expressed(plan, bundle.not_expressed);
  config["annotations"][kNotExpressedAnnotation] = Json(bundle.not_expressed).dump();
  bundle.config = config.dump(2) + "\n";
  return bundle;
}

}  // namespace

Result<Bundle> to_bundle(const plan::Plan& plan, const BundleFacts& facts) {
  try {
    return make_bundle(plan, facts);
  } catch (const Json::exception&) {
    return fail(ErrorKind::kUnsupported,
                "--emit-bundle: a path, an argument or a variable is not UTF-8, and JSON has no way to write it");
  }
}

}  // namespace clawrun::report
