#include <algorithm>

#include "plan/internal.h"
#include "tables/capabilities.h"

namespace clawrun::plan {

namespace {

constexpr std::uint32_t kBlockIds = 65536;
constexpr std::uint32_t kPidMax = 1U << 22U;  // the largest pid_max of a 64-bit kernel: proc(5)

// The whole of 0..65535 inside, `own` of it being the caller, the rest taken from the caller's subordinate ids in order.
Result<std::vector<IdMapLine>> lines_around(std::uint32_t own_inside, std::uint32_t own_outside,
                                            const std::vector<host::SubIdRange>& ranges, const char* file) {
  std::vector<IdMapLine> lines{{own_inside, own_outside, 1}};
  std::uint32_t next = 0;
  for (const host::SubIdRange& range : ranges) {
    std::uint32_t start = range.start;
    std::uint32_t left = range.count;
    while (left > 0 && next < kBlockIds) {
      if (next == own_inside) ++next;
      const std::uint32_t end = next < own_inside ? std::min(own_inside, kBlockIds) : kBlockIds;
      const std::uint32_t count = std::min(left, end - next);
      if (count == 0) break;
      lines.push_back({next, start, count});
      next += count;
      start += count;
      left -= count;
    }
  }
  if (lines.size() == 1)
    return fail(ErrorKind::kUnsupported,
                std::string("--id-mapping range: ") + file +
                    " gives this user no ids; an administrator adds some with usermod --add-subuids 100000-165535 "
                    "--add-subgids 100000-165535 USER");
  return lines;
}

Result<> for_privileged(Plan& plan, const spec::SandboxSpec& spec, bool range) {
  plan.change_identity = true;
  plan.drop_groups = true;
  plan.give_pipes = true;
  plan.ids.range_start = spec.uid_range.start;
  plan.ids.range_count = spec.uid_range.count;
  if (!range) {
    plan.ids.outside = IdMaps::Outside::kPerProcess;
    plan.ids.range_count = std::min(spec.uid_range.count, kPidMax);
    plan.ids.uids = {{spec.uid, 0, 1}};
    plan.ids.gids = {{spec.gid, 0, 1}};
    if (plan.ids.range_count < kPidMax)
      plan.notes.emplace_back(
          "--uid-range holds fewer ids than this machine may have processes: two sandboxes can come to share one");
    return {};
  }
  // Blocks lie above the single ids, so that neither kind can meet the other; the last one is for bundles (engine/emit_bundle.h).
  constexpr std::uint32_t kNotBlocks = kPidMax + kBlockIds;
  if (spec.uid_range.count < kNotBlocks + kBlockIds)
    return fail(ErrorKind::kInvalid, "--uid-range: a mapping of 65536 ids needs a range of at least " +
                                         std::to_string(kNotBlocks + kBlockIds) + " ids");
  if (spec.uid >= kBlockIds || spec.gid >= kBlockIds)
    return fail(ErrorKind::kInvalid, "--user: with --id-mapping range ids go up to 65535");
  plan.ids.outside = IdMaps::Outside::kPerBlock;
  plan.ids.range_start += kPidMax;
  plan.ids.range_count -= kNotBlocks;
  plan.ids.uids = {{0, 0, kBlockIds}};
  plan.ids.gids = {{0, 0, kBlockIds}};
  return {};
}

Result<> for_user(Plan& plan, const spec::SandboxSpec& spec, const Inputs& inputs, bool range) {
  if (inputs.host.supplementary_groups != 0 && !range)
    plan.notes.emplace_back("an ordinary user cannot drop supplementary groups: the sandbox keeps the caller's " +
                            std::to_string(inputs.host.supplementary_groups));
  if (!range) {
    plan.ids.outside = IdMaps::Outside::kOwn;
    plan.ids.uids = {{spec.uid, inputs.host.uid, 1}};
    plan.ids.gids = {{spec.gid, inputs.host.gid, 1}};
    plan.ids.deny_setgroups = true;
    return {};
  }
  plan.ids.with_helpers = true;
  plan.drop_groups = true;
  plan.ids.uids = TRY(lines_around(spec.uid, inputs.host.uid, inputs.sub_uids, "/etc/subuid"));
  plan.ids.gids = TRY(lines_around(spec.gid, inputs.host.gid, inputs.sub_gids, "/etc/subgid"));
  return {};
}

}  // namespace

bool wants_id_range(const spec::SandboxSpec& spec) {
  if (spec.id_mapping != spec::IdMapping::kAuto) return spec.id_mapping == spec::IdMapping::kRange;
  // What needs more than one id to mean anything.
  for (const std::string_view name : {"CHOWN", "SETUID", "SETGID", "FOWNER", "DAC_OVERRIDE"})
    if ((spec.capabilities >> *tables::capability_number(name) & 1U) != 0) return true;
  return false;
}

Result<> compile_identity(Plan& plan, const spec::SandboxSpec& spec, const Inputs& inputs) {
  plan.uid = spec.uid;
  plan.gid = spec.gid;
  const bool range = wants_id_range(spec);
  if (inputs.host.privileged) return for_privileged(plan, spec, range);
  // Asked for by a capability alone, and not configured: one id is what there is, and the plan says so.
  if (range && spec.id_mapping == spec::IdMapping::kAuto && (inputs.sub_uids.empty() || inputs.sub_gids.empty())) {
    plan.notes.emplace_back(
        "/etc/subuid and /etc/subgid give this user no ids: only one user exists inside, so changes of owner will fail");
    return for_user(plan, spec, inputs, false);
  }
  return for_user(plan, spec, inputs, range);
}

}  // namespace clawrun::plan
