// The namespaces of a container: new ones and those that are joined by path.
#pragma once

#include <cstdint>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "oci/config.h"

namespace clawrun::container {

struct JoinedNamespace {
  std::uint64_t flag = 0;  // CLONE_NEW*
  UniqueFd fd;
};

struct Namespaces {
  std::uint64_t created = 0;  // CLONE_NEW* of the new ones
  std::vector<JoinedNamespace> joined;

  [[nodiscard]] bool creates(std::uint64_t flag) const { return (created & flag) != 0; }
  [[nodiscard]] bool joins(std::uint64_t flag) const;
};

// Opens what is joined. A path that is not a namespace of that kind is an error that names it.
Result<Namespaces> open_namespaces(const oci::Config& config);

// Those of a running process: each that differs from ours.
Result<Namespaces> namespaces_of(pid_t pid);

// setns(2) in an order that works: what the caller's own rights allow, then the user namespace, then the rest.
// In a user namespace that was joined this process is its root afterwards.
Result<> join_namespaces(const Namespaces& namespaces);

// unshare(CLONE_NEWTIME) with linux.timeOffsets; it holds from the next exec on.
Result<> make_time_namespace(const oci::Config& config, class Proc const& proc);

// The loopback interface of a new network namespace.
Result<> bring_up_loopback();

}  // namespace clawrun::container
