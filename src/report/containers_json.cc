#include <nlohmann/json.hpp>

#include "report/containers.h"

namespace clawrun::report {

namespace {

using Json = nlohmann::ordered_json;
constexpr auto kReplace = Json::error_handler_t::replace;

Json object(const ListedContainer& container) {
  const state::ContainerRecord& record = container.state.record;
  Json json;
  json["ociVersion"] = record.oci_version;
  json["id"] = record.id;
  // Of a process that is gone the number may be another's by now.
  json["pid"] = container.state.status == state::ContainerStatus::kStopped ? 0 : record.init.pid;
  json["status"] = state::status_name(container.state.status);
  json["bundle"] = record.bundle;
  json["rootfs"] = record.rootfs;
  json["created"] = record.created;
  if (!record.annotations.empty()) json["annotations"] = record.annotations;
  json["owner"] = container.owner;
  return json;
}

}  // namespace

std::string container_json(const ListedContainer& container) {
  return object(container).dump(2, ' ', false, kReplace) + "\n";
}

std::string containers_json(std::span<const ListedContainer> containers) {
  Json list = Json::array();
  for (const ListedContainer& container : containers) list.push_back(object(container));
  return list.dump(-1, ' ', false, kReplace) + "\n";
}

std::string pids_json(std::span<const pid_t> pids) {
  return Json(pids).dump() + "\n";
}

}  // namespace clawrun::report
