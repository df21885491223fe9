// What the verbs on a container that is there have in common: finding it, and ending it.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/containers.h"
#include "state/container.h"

namespace clawrun::engine {

// Where the containers of this runtime are.
std::string container_root(const Runtime& runtime);

struct FoundContainer {
  state::Container container;
  state::ContainerState state;
};

// For reading, without a lock.
Result<FoundContainer> find_container(const Runtime& runtime, const std::string& id);

// crun's --regex: an extended regular expression (regex(7)) that matches anywhere in an id.
Result<std::vector<std::string>> matching_containers(const Runtime& runtime, const std::string& pattern);

using Warn = std::function<void(const std::string& message)>;

// Kills what is left of a container that is locked, waits for its end, removes its cgroup, its group of resctrl and its state,
// and runs its poststop hooks, in this order. What is gone already is success, so that it may be tried again where it failed.
// `config` where it is at hand: else it is read for its hooks.
Result<> destroy(state::Container& container, const Warn& warn, const oci::Config* config = nullptr);

// After the end of a container of one's own in the foreground. Somebody else may have removed it already, and even made another of
// that id.
Result<> remove_own(const Runtime& runtime, const state::ContainerRecord& own, const oci::Config& config, const Warn& warn);

}  // namespace clawrun::engine
