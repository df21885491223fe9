#include "engine/containers_manage.h"

#include <regex.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "base/text.h"
#include "cgroup/location.h"
#include "engine/intel_rdt.h"
#include "oci/resources.h"

namespace clawrun::engine {

namespace {

using state::ContainerState;
using state::ContainerStatus;

// A pid that is no container's any more is nobody's to use.
ContainerState as_shown(ContainerState state) {
  if (state.status == ContainerStatus::kStopped) state.record.init = {};
  return state;
}

Result<resctrl::Group> rdt_group_in(const FoundContainer& found) {
  const std::string text = TRY(found.container.read_config());
  const oci::Config config = TRY(oci::parse_config(text));
  auto group = TRY(rdt_group_of(config, found.state.record.id));
  if (!group)
    return fail(ErrorKind::kUnsupported,
                "container " + found.state.record.id + " has no group in resctrl: its config.json has no linux.intelRdt");
  return std::move(*group);
}

Failure has_no_cgroup(const std::string& id, std::string_view what) {
  return fail(ErrorKind::kUnsupported, "container " + id + " has no cgroup: " + std::string(what));
}

}  // namespace

std::string container_root(const Runtime& runtime) {
  return runtime.root.empty() ? state::default_container_root() : runtime.root;
}

Result<FoundContainer> find_container(const Runtime& runtime, const std::string& id) {
  state::Container container = TRY(state::Container::open(container_root(runtime), id, state::Container::Lock::kShared));
  ContainerState state = TRY(container.state());
  return FoundContainer{std::move(container), std::move(state)};
}

Result<std::vector<std::string>> matching_containers(const Runtime& runtime, const std::string& pattern) {
  regex_t compiled;
  if (const int error = ::regcomp(&compiled, pattern.c_str(), REG_EXTENDED | REG_NOSUB); error != 0) {
    char text[256];
    ::regerror(error, &compiled, text, sizeof text);
    return fail(ErrorKind::kUsage, "the regular expression " + quoted(pattern) + ": " + text);
  }
  const std::unique_ptr<regex_t, void (*)(regex_t*)> owner(&compiled, ::regfree);
  const state::ContainerListing listing = TRY(state::list_containers(container_root(runtime)));
  std::vector<std::string> ids;
  for (const ContainerState& state : listing.containers)
    if (::regexec(&compiled, state.record.id.c_str(), 0, nullptr, 0) == 0) ids.push_back(state.record.id);
  return ids;
}

Result<ContainerState> container_state(const Runtime& runtime, const std::string& id) {
  FoundContainer found = TRY(find_container(runtime, id));
  return as_shown(std::move(found.state));
}

Result<std::vector<ContainerState>> containers(const Runtime& runtime) {
  state::ContainerListing listing = TRY(state::list_containers(container_root(runtime)));
  // In Docker's root of states there may be containers of other runtimes: they are not listed, and no error.
  std::vector<ContainerState> all;
  for (ContainerState& state : listing.containers) all.push_back(as_shown(std::move(state)));
  return all;
}

// From the outside alone: nothing in the container is asked or executed (CVE-2022-1227).
Result<std::vector<pid_t>> processes(const Runtime& runtime, const std::string& id) {
  const FoundContainer found = TRY(find_container(runtime, id));
  const state::ContainerRecord& record = found.state.record;
  if (record.location.empty()) {
    if (found.state.status == ContainerStatus::kStopped) return std::vector<pid_t>();
    return has_no_cgroup(id, "its processes cannot be told from others");
  }
  auto pids = cgroup::processes(record.location);
  // systemd removes the group of a scope with its last process.
  if (!pids && pids.error().kind == ErrorKind::kNotFound && found.state.status == ContainerStatus::kStopped)
    return std::vector<pid_t>();
  if (!pids) return pids;
  std::ranges::sort(*pids);
  const auto repeated = std::ranges::unique(*pids);
  pids->erase(repeated.begin(), repeated.end());
  return pids;
}

Result<> pause(const Runtime& runtime, const std::string& id) {
  const FoundContainer found = TRY(find_container(runtime, id));
  const ContainerStatus status = found.state.status;
  if (status != ContainerStatus::kRunning && status != ContainerStatus::kCreated)
    return fail(ErrorKind::kInvalid, "container not running");
  if (found.state.record.location.empty()) return has_no_cgroup(id, "it cannot be paused");
  return cgroup::freeze(found.state.record.location);
}

Result<> resume(const Runtime& runtime, const std::string& id) {
  const FoundContainer found = TRY(find_container(runtime, id));
  if (found.state.status != ContainerStatus::kPaused) return fail(ErrorKind::kInvalid, "container not paused");
  return cgroup::thaw(found.state.record.location);
}

Result<> update(const Runtime& runtime, const std::string& id, const UpdateOptions& options) {
  const FoundContainer found = TRY(find_container(runtime, id));
  const ContainerStatus status = found.state.status;
  if (status == ContainerStatus::kStopped || status == ContainerStatus::kCreating)
    return fail(ErrorKind::kInvalid, "container not running");
  const state::ContainerRecord& record = found.state.record;
  // All is looked at before anything is changed.
  const cgroup::Limits limits = TRY(oci::limits_of(options.resources, oci::LimitsFor::kUpdate));
  const std::string schemata =
      resctrl::lines_of({.l3_cache_schema = options.l3_cache_schema, .mem_bw_schema = options.mem_bw_schema});
  std::optional<resctrl::Group> rdt;
  if (!schemata.empty()) rdt = TRY(rdt_group_in(found));
  if (record.location.empty() && schemata.empty()) return has_no_cgroup(id, "it has no limits to change");
  if (!record.location.empty()) TRY(cgroup::update(record.location, limits));
  if (rdt) TRY(rdt->write_lines(schemata));
  return {};
}

}  // namespace clawrun::engine
