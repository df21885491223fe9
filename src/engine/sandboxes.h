// What can be done with sandboxes that run: list, measure, limit, pause and go on, and clear away what dead ones left.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "cgroup/limits.h"
#include "cgroup/usage.h"
#include "state/state.h"

namespace clawrun::engine {

// All of these concern the caller's own sandboxes, and take an id or a beginning that only one has. Thread-safe.

struct Sandbox {
  state::Record record;
  std::optional<cgroup::Usage> usage;  // nullopt: it has no cgroup
};

struct Sandboxes {
  std::vector<Sandbox> running;       // the oldest first
  std::vector<std::string> problems;  // files among the records that cannot be believed
};

Result<Sandboxes> sandboxes();
Result<Sandbox> sandbox(const std::string& id);

// What is not set in `limits` stays as it is.
Result<> update(const std::string& id, const cgroup::Limits& limits);

// Success where it is so already. A paused sandbox can be ended, by its timeout too.
Result<> pause(const std::string& id);
Result<> resume(const std::string& id);

// state::sweep() of all records.
state::Swept collect_garbage();

// One sandbox over a time: another one of the same name is not taken for it.
class Following {
 public:
  static Result<Following> begin(const std::string& id);

  // kNotFound: it has ended.
  [[nodiscard]] Result<Sandbox> look();

  // Readable when it has ended; -1 where nothing tells but look().
  [[nodiscard]] int ended_fd() const { return first_.get(); }

 private:
  state::Record record_;
  UniqueFd first_;
};

}  // namespace clawrun::engine
