#include "gateway/context.h"

namespace clawrun::gateway {

Task& Tasks::add(std::unique_ptr<Task> task) {
  Task* const key = task.get();
  return *tasks_.emplace(key, std::move(task)).first->second;
}

void Tasks::finish(Loop& loop, Task& task) {
  if (auto node = tasks_.extract(&task); !node.empty()) loop.discard(std::move(node.mapped()));
}

void Tasks::end_all(const std::string& reason) {
  // Each takes itself out.
  while (!tasks_.empty()) tasks_.begin()->second->end(Event::Verdict::kAllowed, reason);
}

void Context::check_volume() {
  if (meter.is_spent()) tasks.end_all("the volume cap of " + std::to_string(limits.max_bytes) + " bytes is used up");
}

}  // namespace clawrun::gateway
