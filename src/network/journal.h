// What is kept of a sandbox's network decisions: for the report, the log and the person at the terminal.
#pragma once

#include <functional>
#include <set>
#include <string>

#include "base/unique_fd.h"
#include "spec/outcome.h"

namespace clawrun::network {

// Takes one line for a person.
using Say = std::function<void(const std::string&)>;

class Journal {
 public:
  Journal() = default;
  Journal(std::string sandbox, UniqueFd log, Say say)
      : sandbox_(std::move(sandbox)), log_(std::move(log)), say_(std::move(say)) {}

  void add(spec::NetworkDecision decision);
  // Decisions that nobody will hear of.
  void add_lost(std::uint64_t count) { use_.events_lost += count; }
  void say(const std::string& line) const {
    if (say_) say_(line);
  }

  spec::NetworkUse take() { return std::move(use_); }

 private:
  void count_refusal(const spec::NetworkDecision& decision);
  void say_first_refusal(const spec::NetworkDecision& decision);

  std::string sandbox_;
  UniqueFd log_;
  Say say_;
  std::set<std::string> said_;
  spec::NetworkUse use_;
};

}  // namespace clawrun::network
