// What all connections of a gateway share.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "gateway/events.h"
#include "gateway/inject.h"
#include "gateway/limits.h"
#include "gateway/loop.h"
#include "gateway/names.h"
#include "gateway/relay.h"
#include "gateway/resolver.h"
#include "gateway/rules.h"
#include "gateway/tls.h"

namespace clawrun::gateway {

// A handler that the gateway owns, and ends when it ends itself.
class Task : public Handler {
 public:
  virtual void end(Event::Verdict verdict, std::string reason) = 0;
};

class Tasks {
 public:
  Task& add(std::unique_ptr<Task> task);
  // Takes it out; it is destroyed by the loop.
  void finish(Loop& loop, Task& task);
  void end_all(const std::string& reason);
  [[nodiscard]] std::size_t size() const { return tasks_.size(); }

 private:
  std::map<Task*, std::unique_ptr<Task>> tasks_;
};

struct Context {
  Context(Policy rules, NamePool pool, const Limits& given, UniqueFd events_pipe)
      : policy(std::move(rules)),
        names(std::move(pool)),
        limits(given),
        events(std::move(events_pipe)),
        meter(loop, given.rate_bytes_per_s, given.max_bytes),
        resolver(loop) {}

  // The order is that of destruction, reversed: tasks use all the others.
  Loop loop;
  Policy policy;
  NamePool names;
  Limits limits;
  Events events;
  Meter meter;
  PipePool pipes;
  Resolver resolver;
  Injections injections;
  std::optional<TlsKit> tls;
  Tasks tasks;

  // After the volume cap everything ends.
  void check_volume();
};

}  // namespace clawrun::gateway
