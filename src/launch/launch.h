// Starting what a Plan says: clone3, id maps, the gate, and the words for whatever the child reports.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "cgroup/group.h"
#include "launch/work_files.h"
#include "plan/plan.h"

namespace clawrun::launch {

// A running sandbox. supervise/supervise.h waits for its end and reaps it; dropped before that, it is killed and reaped.
struct Sandbox {
  Sandbox() = default;
  Sandbox(Sandbox&& other) noexcept { *this = std::move(other); }
  Sandbox& operator=(Sandbox&& other) noexcept;
  ~Sandbox() { end(); }

  // Kills everything in it, waits until it is gone, and removes its cgroup. What has been reaped (pid is -1) is not killed again.
  void end();

  pid_t pid = -1;  // of pid 1 inside, a child of this process
  UniqueFd pidfd;
  UniqueFd control;                       // init's wait status arrives here; closing it ends the sandbox. Invalid without init
  UniqueFd terminal;                      // the master of the sandbox's terminal, where the plan has one
  UniqueFd stream[3];                     // our ends of the streams that go through a pipe
  WorkFiles files;                        // with StartOptions::wants_files
  std::vector<UniqueFd> network_sockets;  // of the plan's requests that send theirs out, then of its listeners
  UniqueFd mounts;      // the mount namespace: taking it apart is no part of the command's end, but of this object's
  UniqueFd deadline;    // with StartOptions::late_deadline: init's timer, which begins when somebody sets it
  UniqueFd id_block;    // holds the lock on a block of host ids
  cgroup::Group group;  // empty: none. Removed when the sandbox is dropped, after all of its processes are gone
  bool init = true;
  bool init_lingers = false;     // it ends when one byte is sent on `control`, or control is closed
  std::uint64_t started_ns = 0;  // CLOCK_MONOTONIC, before clone3
  std::vector<std::pair<std::string, std::uint64_t>> stages_us;
};

// What becomes of a standard stream where who starts decides it, not the plan.
struct Stream {
  enum class Kind : std::uint8_t {
    kPlanned,
    kNull,        // /dev/null
    kPipe,        // our end is Sandbox::stream
    kDescriptor,  // `fd`, which stays its owner's
  };
  Kind kind = Kind::kPlanned;
  int fd = -1;
};

struct StartOptions {
  Stream streams[3];
  bool wants_files = false;      // Sandbox::files
  bool outlives_thread = false;  // with init: ends with this process, not already with the calling thread
  bool late_deadline = false;    // with init: Sandbox::deadline. The plan's timeout counts for the set-up alone
  int given[2] = {-1, -1};       // what becomes descriptors 3 and 4 of the command; they stay their owner's
};

// How much later than the supervisor init ends everything: so that where the supervisor lives it is the one that does.
inline constexpr std::chrono::milliseconds kDeadlineSlack{500};

// Starts it, and returns when the command has been executed: execve(2) has succeeded. On failure nothing is left: the child
// is dead and reaped. Blocks all signals of the calling thread meanwhile. Thread-safe; the process may have other threads.
// `id` names its cgroup.
Result<Sandbox> start(const plan::Plan& plan, const std::string& id, const StartOptions& options);

}  // namespace clawrun::launch
