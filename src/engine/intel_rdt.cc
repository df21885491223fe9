#include "engine/intel_rdt.h"

namespace clawrun::engine {

namespace {

resctrl::Request request_of(const oci::IntelRdt& rdt, const std::string& id) {
  return {.clos_id = rdt.clos_id,
          .container_id = id,
          .l3_cache_schema = rdt.l3_cache_schema,
          .mem_bw_schema = rdt.mem_bw_schema,
          .schemata = rdt.schemata,
          .monitoring = rdt.enable_monitoring ? resctrl::Monitoring::kOn : resctrl::Monitoring::kOff};
}

}  // namespace

Result<std::optional<resctrl::Group>> find_rdt_group(const oci::Config& config, const std::string& id) {
  if (!config.linux.intel_rdt) return std::optional<resctrl::Group>();
  auto root = resctrl::find_root();
  if (!root) return while_doing("linux.intelRdt", root.error());
  auto group = resctrl::Group::find(*root, request_of(*config.linux.intel_rdt, id));
  if (!group) return while_doing("linux.intelRdt", group.error());
  return std::optional(std::move(*group));
}

Result<std::optional<resctrl::Group>> rdt_group_of(const oci::Config& config, const std::string& id) {
  if (!config.linux.intel_rdt) return std::optional<resctrl::Group>();
  auto root = resctrl::find_root();
  if (!root) return while_doing("linux.intelRdt", root.error());
  return std::optional(resctrl::Group::named(*root, request_of(*config.linux.intel_rdt, id)));
}

}  // namespace clawrun::engine
