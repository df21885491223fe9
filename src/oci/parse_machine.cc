#include <linux/mempolicy.h>
#include <sys/personality.h>

#include <algorithm>

#include "oci/parse.h"

namespace clawrun::oci {

namespace {

// Of Linux 6.9; the numbers are fixed, and the kernel says whether it knows one.
constexpr int kMpolWeightedInterleave = 6;

constexpr JsonWord<int> kModes[] = {
    {"MPOL_DEFAULT", MPOL_DEFAULT},
    {"MPOL_PREFERRED", MPOL_PREFERRED},
    {"MPOL_BIND", MPOL_BIND},
    {"MPOL_INTERLEAVE", MPOL_INTERLEAVE},
    {"MPOL_LOCAL", MPOL_LOCAL},
    {"MPOL_PREFERRED_MANY", MPOL_PREFERRED_MANY},
    {"MPOL_WEIGHTED_INTERLEAVE", kMpolWeightedInterleave},
};

constexpr JsonWord<unsigned> kModeFlags[] = {
    {"MPOL_F_STATIC_NODES", MPOL_F_STATIC_NODES},
    {"MPOL_F_RELATIVE_NODES", MPOL_F_RELATIVE_NODES},
    {"MPOL_F_NUMA_BALANCING", MPOL_F_NUMA_BALANCING},
};

constexpr JsonWord<std::uint32_t> kDomains[] = {{"LINUX", PER_LINUX}, {"LINUX32", PER_LINUX32}};

// What set_mempolicy(2) answers with a bare EINVAL.
Result<> check_policy(const JsonObject& object, const MemoryPolicy& policy) {
  const bool takes_no_nodes = policy.mode == MPOL_DEFAULT || policy.mode == MPOL_LOCAL;
  if (takes_no_nodes && !policy.nodes.empty())
    return object.wrong_member("nodes", "must be empty for MPOL_DEFAULT and MPOL_LOCAL");
  if (!takes_no_nodes && policy.mode != MPOL_PREFERRED && policy.nodes.empty())
    return object.wrong_member("nodes", "is missing; it must be a list of nodes such as \"0-1\" for this mode");
  if (takes_no_nodes && policy.flags != 0) return object.wrong_member("flags", "must be empty for MPOL_DEFAULT and MPOL_LOCAL");
  if ((policy.flags & MPOL_F_STATIC_NODES) != 0 && (policy.flags & MPOL_F_RELATIVE_NODES) != 0)
    return object.wrong_member("flags", "MPOL_F_STATIC_NODES and MPOL_F_RELATIVE_NODES exclude each other");
  return {};
}

// Schemata are lines of the file of that name; one with a newline inside would be two, of which only one is looked at.
Result<> read_line(const JsonObject& object, std::string_view key, std::string& target) {
  TRY(read_member(object, key, target));
  if (target.find('\n') != std::string::npos) return object.wrong_member(key, quoted_start(target) + " contains a newline");
  return {};
}

}  // namespace

Result<MemoryPolicy> memory_policy_of(const JsonValue& value) {
  const JsonObject object = TRY(value.object());
  MemoryPolicy policy;
  const JsonValue mode = TRY(object.require("mode", "a mode such as MPOL_INTERLEAVE"));
  policy.mode = TRY(word_of(mode, kModes));
  if (const auto nodes = object.find("nodes")) TRY(read_processor_list(*nodes, policy.nodes));
  std::vector<unsigned> flags;
  TRY(read_list(object, "flags", "flags", flags, [](const JsonValue& flag) { return word_of(flag, kModeFlags); }));
  for (const unsigned flag : flags) policy.flags |= flag;
  TRY(check_policy(object, policy));
  return policy;
}

Result<std::uint32_t> personality_of(const JsonValue& value) {
  const JsonObject object = TRY(value.object());
  const JsonValue domain = TRY(object.require("domain", "LINUX or LINUX32"));
  const std::uint32_t personality = TRY(word_of(domain, kDomains));
  std::vector<std::string> flags;
  TRY(read_member(object, "flags", flags));
  if (!flags.empty()) return object.wrong_member("flags", "must be empty: the specification has no flags yet");
  return personality;
}

Result<IntelRdt> intel_rdt_of(const JsonValue& value) {
  const JsonObject object = TRY(value.object());
  IntelRdt rdt;
  TRY(read_member(object, "closID", rdt.clos_id));
  // "/" is the root group. Anything else is the name of a directory below it.
  if (!rdt.clos_id.empty() && rdt.clos_id != "/" && (!is_file_name(rdt.clos_id) || rdt.clos_id.find('\n') != std::string::npos))
    return object.wrong_member("closID", quoted_start(rdt.clos_id) + " is not the name of a group, without '/'");
  TRY(read_member(object, "schemata", rdt.schemata));
  TRY(read_member(object, "l3CacheSchema", rdt.l3_cache_schema));
  TRY(read_line(object, "memBwSchema", rdt.mem_bw_schema));
  TRY(read_member(object, "enableMonitoring", rdt.enable_monitoring));
  // Of specifications before 1.3, where they had no effect in any runtime: only their type counts.
  bool unused = false;
  TRY(read_member(object, "enableCMT", unused));
  TRY(read_member(object, "enableMBM", unused));
  return rdt;
}

}  // namespace clawrun::oci
