// Making a leaf: the directories above it with their controllers, the leaf itself, and words for what the kernel refuses.
#pragma once

#include "base/result.h"
#include "cgroup/location.h"
#include "cgroup/place.h"
#include "cgroup/writes.h"

namespace clawrun::cgroup {

// mkdir(2) of a leaf, which must be new or, as the place says, empty. Controllers are enabled from the top down to its parent
// where they are not yet; processes of the caller's own delegated group go to "supervisor" below it first, because a group that
// enables controllers may hold none.
Result<> make_leaf_v2(const Place& place, const std::string& leaf);

// The same in a v1 hierarchy, where a new cpuset begins empty and takes its parent's processors and memory nodes.
Result<> make_leaf_v1(const Place::Base& base, const Location::Directory& leaf, Existing existing = Existing::kRefused);

// Enables what can be enabled of all controllers, in each group from `root` down to `directory`, and makes those that are
// missing.
Result<> offer_controllers(const std::string& root, const std::string& directory);

// Whether an earlier start moved the callers here, by the mark that it left: not by the name, which anybody may use.
bool is_supervisor_group(const std::string& directory);

// Enables controllers for the children of a v2 group.
Result<> enable_controllers(const std::string& directory, const std::vector<std::string>& controllers);

// Writes one value, and says what was asked and what is allowed where the kernel refuses it.
Result<> apply(int directory, const Write& write);

// All of them in their order, those that may wait a second time after the others.
Result<> apply_all(int directory, const std::vector<Write>& writes);

// The files of `unified` whose controllers are not in `elsewhere` (of cgroup v1).
Result<> apply_unified(int directory, const Limits& limits, const std::vector<std::string>& elsewhere);

}  // namespace clawrun::cgroup
