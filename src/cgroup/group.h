// A sandbox's own cgroup: made before its first process, and removed when it is dropped.
#pragma once

#include <sys/types.h>

#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "cgroup/limits.h"
#include "cgroup/location.h"
#include "cgroup/place.h"

namespace clawrun::cgroup {

class Group {
 public:
  // Where a leaf with this id would be: pure, so that a record of it can be stored before it is made.
  static Location locate(const Place& place, const std::string& id);

  // Makes the leaf with its limits, empty. A name that is taken is an error. On failure nothing is left. With systemd nothing
  // is made before attach(), because a scope cannot be empty.
  static Result<Group> create(const Place& place, const std::string& id, Limits limits);

  // The same in two parts: first what clone3 needs, then the rest, while the process is starting already.
  static Result<Group> begin(const Place& place, const std::string& id, Limits limits);
  [[nodiscard]] bool is_complete() const { return rest_.bases.empty(); }
  Result<> complete();

  Group() = default;
  Group(Group&& other) noexcept { *this = std::move(other); }
  Group& operator=(Group&& other) noexcept;
  ~Group() { (void)end(); }

  [[nodiscard]] bool empty() const { return location_.empty(); }
  [[nodiscard]] const Location& location() const { return location_; }

  // For CLONE_INTO_CGROUP; -1: v2 is not used.
  [[nodiscard]] int clone_fd() const { return v2_.get(); }
  // Files to which the sandbox's first process, while it is a single thread, writes "0" before it forks.
  struct JoinOptions {
    bool cloned_into = false;  // clone_fd() has served already
  };
  [[nodiscard]] Result<std::vector<UniqueFd>> open_for_joining(JoinOptions options) const;
  // The process must be handed to systemd by attach() before it forks.
  [[nodiscard]] bool needs_attach() const { return location_.driver == Driver::kSystemd; }
  Result<> attach(pid_t pid);

  // memory.events, which poll(2) gives POLLPRI for when a count in it has changed; -1: not watched.
  void watch_events();
  [[nodiscard]] int events_fd() const { return events_.get(); }
  void acknowledge_events() const;

  // Leaves it as it is, to live without this object.
  Location release();

  // Kills what is left in it and removes it. Nothing happens the second time, and where it failed it may be tried again.
  Result<> end();

 private:
  [[nodiscard]] Result<> check_scope() const;
  Result<> fill_v2(const Place& place);
  Result<> fill_v1(const std::vector<std::string>& controllers, const std::string& path) const;

  // What complete() makes.
  struct Rest {
    std::vector<Place::Base> bases;
    std::vector<Location::Directory> directories;  // one for each, then those that nothing is put into
    decltype(Place::existing) existing{};
  };

  Location location_;
  Rest rest_;
  Limits limits_;
  std::string systemd_path_;
  std::string description_;
  std::vector<std::pair<std::string, std::string>> properties_;
  std::size_t joined_v1_ = 0;  // the first ones of location_.v1
  UniqueFd v2_;
  UniqueFd events_;
};

}  // namespace clawrun::cgroup
