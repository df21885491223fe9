// OCI containers as the verbs `state`, `list` and `ps` print them.
#pragma once

#include <sys/types.h>

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "state/container.h"

namespace clawrun::report {

struct ListedContainer {
  state::ContainerState state;
  std::string owner;  // name of the user, or #UID
};

// The object of `state`, in runc's order of members, over several lines.
std::string container_json(const ListedContainer& container);

// The array of `list --format json`, in one line.
std::string containers_json(std::span<const ListedContainer> containers);

// runc's table: ID PID STATUS BUNDLE CREATED OWNER.
std::string containers_table(std::span<const ListedContainer> containers);

// An array of numbers, in one line.
std::string pids_json(std::span<const pid_t> pids);

// Of what ps(1) printed, the line of titles and the lines of these processes, found by the column PID. kInvalid: there is none.
Result<std::string> ps_lines(std::string_view output, std::span<const pid_t> pids);

}  // namespace clawrun::report
