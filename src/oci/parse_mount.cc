#include <sys/mount.h>

#include <algorithm>

#include "oci/parse.h"

namespace clawrun::oci {

namespace {

// crun's '@': the id outside counts inside of the container's user namespace, by the range that holds the first one.
Result<> resolve(const JsonObject& mount, const std::vector<IdMapRange>& ranges, const std::vector<IdMapping>& user,
                 std::vector<IdMapping>& target) {
  for (const IdMapRange& range : ranges) {
    IdMapping map = range.map;
    if (range.relative) {
      const auto holds = [&](const IdMapping& m) {
        return map.host_id >= m.container_id && map.host_id - m.container_id < m.size;
      };
      const auto found = std::ranges::find_if(user, holds);
      if (found == user.end())
        return mount.wrong_member("options", "an id map relative to the user namespace has id " + std::to_string(map.host_id) +
                                                 ", which is not in linux.uidMappings or linux.gidMappings");
      const std::uint32_t offset = map.host_id - found->container_id;
      if (map.size > found->size - offset)
        return mount.wrong_member("options",
                                  "an id map relative to the user namespace reaches beyond one of its ranges; split it");
      map.host_id = found->host_id + offset;
    }
    target.push_back(map);
  }
  return {};
}

Result<> read_mount_maps(const JsonObject& object, const UserMaps& user, Mount& mount) {
  TRY(read_id_map(object, "uidMappings", mount.uid_mappings));
  TRY(read_id_map(object, "gidMappings", mount.gid_mappings));
  if (mount.uid_mappings.empty() != mount.gid_mappings.empty())
    return object.wrong_member(mount.uid_mappings.empty() ? "uidMappings" : "gidMappings",
                               "is missing; a mount has both uidMappings and gidMappings or neither");
  const MountOptions& options = mount.options;
  if (!options.idmap_uids.empty()) {
    if (!mount.uid_mappings.empty()) return object.wrong_member("options", "an id map is there as well as uidMappings");
    TRY(resolve(object, options.idmap_uids, user.uids, mount.uid_mappings));
    TRY(resolve(object, options.idmap_gids, user.gids, mount.gid_mappings));
  }
  if (!mount.uid_mappings.empty()) mount.options.idmap = true;
  return {};
}

}  // namespace

Result<Mount> mount_of(const JsonValue& value, const UserMaps& user) {
  const JsonObject object = TRY(value.object());
  Mount mount;
  TRY(read_required(object, "destination", "a path in the container", mount.destination));
  if (mount.destination.empty()) return object.wrong_member("destination", "is empty; it must be a path in the container");
  // "for compatibility with old tools", config.md has it, a relative one begins at the root.
  if (mount.destination.front() != '/') mount.destination.insert(0, 1, '/');
  TRY(read_member(object, "type", mount.type));
  TRY(read_member(object, "source", mount.source));
  TRY(read_member(object, "options", mount.option_words));
  if (!mount.option_words.empty()) {
    auto options = parse_mount_options(mount.option_words, "");
    // The message begins with "[2]", to which the path is added here: it is work that only a mistake needs.
    if (!options) return fail(options.error().kind, object.find("options")->path() + options.error().message);
    mount.options = std::move(*options);
  }
  if (mount.type == "bind" && (mount.options.flags & MS_BIND) == 0) mount.options.flags |= MS_BIND;
  TRY(read_mount_maps(object, user, mount));
  return mount;
}

}  // namespace clawrun::oci
