// What the parts of the child share: the plan, the base being built, and the one way to fail.
#pragma once

#include <fcntl.h>

#include "child/plan.h"
#include "child/raw.h"
#include "child/walk.h"

namespace clawrun::child {

inline constexpr long kEintr = -4;
inline constexpr long kEnoent = -2;

// Reports step, -error and index to the parent and ends this process.
[[noreturn]] void fail(const ChildPlan& plan, Step step, long error, std::uint32_t index = kNoIndex);

// The value of a system call, or the end of the process.
inline long must(const ChildPlan& plan, Step step, long result, std::uint32_t index = kNoIndex) {
  if (result < 0) fail(plan, step, result, index);
  return result;
}

// What the operations have built. What lies over the new root after pivot_root is the host's root and, where one was built
// on, the stage on top of that: each has to be taken off.
struct Root {
  int base;    // an open directory: the root of the mount that becomes the root
  int covers;  // how many mounts lie over it after pivot_root
};

// operations.cc: takes all of the plan's operations.
Root build_root(const ChildPlan& plan);

// confine.cc
void set_rlimits(const ChildPlan& plan);
void drop_capabilities(const ChildPlan& plan, std::uint64_t keep);
void enter_landlock(const ChildPlan& plan, const char* command);
void load_filters(const ChildPlan& plan);

// network.cc: pid 1 makes the namespace and sends it, pid 2 joins it. Never by way of /proc/1: the memory that both share with
// the host process may not be dumpable.
void make_network(const ChildPlan& plan);
void send_network(const ChildPlan& plan, int socket);
void join_network(const ChildPlan& plan, int socket);

// descriptors.cc
long send_descriptor(int socket, int fd);
long receive_descriptor(int socket);  // -errno, or the descriptor, close-on-exec
// Waits for a message with three descriptors, which become 0, 1 and 2, and perhaps a fourth: -errno, that one, or kNoDescriptor.
inline constexpr long kNoDescriptor = -1000;
long receive_streams(int socket);
void close_all_but(const ChildPlan& plan, const int* keep, std::size_t count);

// terminal.cc: a terminal of the sandbox's own devpts becomes stdio and the controlling terminal; the master goes to the
// supervisor.
void open_terminal(const ChildPlan& plan);

std::size_t length_of(const char* text);
bool equal(const char* a, const char* b);

}  // namespace clawrun::child
