// Hooks of config.json: programs that run at points of a container's life, each with its own environment and nothing of ours.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "oci/config.h"

namespace clawrun::launch {

// A namespace to join, or by a pidfd those that `flags` names: setns(2).
struct Joined {
  int fd = -1;
  int flags = 0;  // CLONE_NEW*
};

struct HookOptions {
  std::string directory = {};  // to work in: the bundle; "" is "/"
  // Joined in this order, before the working directory is entered and the program looked up: of the hooks that run in the
  // container's namespaces. A pid namespace holds the hook and not the process that waits for it.
  std::vector<Joined> namespaces = {};
  // Taken on after that: in a new user namespace the caller has no id yet.
  std::optional<std::uint32_t> uid = {};
  std::optional<std::uint32_t> gid = {};
  // Where its output goes. -1: to nobody, and when the hook fails the end of it is in the error.
  int stdout_fd = -1;
  int stderr_fd = -1;
};

// Runs them one after the other, with `state_json` on standard input, up to the first that fails: by its exit status, by a
// signal, or because its time is over, when it is killed with its process group. `kind` is "prestart", "createRuntime", …: the
// error says `error running createRuntime hook #0: exit status 1, stdout: …, stderr: …`, as runc's.
//
// A hook has its args (its path where there are none), its env and nothing else: no descriptor but 0, 1 and 2, default signals, a
// session of its own. What it leaves running in the background is not waited for. Thread-safe.
Result<> run_hooks(std::span<const oci::Hook> hooks, std::string_view kind, const std::string& state_json,
                   const HookOptions& options);

// All of them, whatever fails: the poststop hooks, whose errors are warnings.
std::vector<Error> run_all_hooks(std::span<const oci::Hook> hooks, std::string_view kind, const std::string& state_json,
                                 const HookOptions& options);

}  // namespace clawrun::launch
