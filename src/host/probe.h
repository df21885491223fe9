// Tries something in a forked child with a time limit, so that a probe can neither hang, nor change, nor kill this process.
#pragma once

#include <array>
#include <cstdint>

namespace clawrun::host {

// The page that parent and child share. A probe writes its result here and returns; it must not allocate or lock, because
// the process that forked may have threads.
struct ProbePage {
  const void* input = nullptr;
  std::int32_t step = 0;  // which step failed, in the numbers of the probe; 0: none
  std::int32_t errno_value = 0;
  std::int64_t value = 0;
  std::uint32_t next = 0;  // the item in hand, for probes that go through a list
  bool done = false;
  std::array<std::int32_t, 64> errnos{};

  // Notes errno for `step`; false, for `return page.failed(...)` in a chain of conditions.
  bool failed(std::int32_t failed_step);
};

enum class ProbeEnd : std::uint8_t { kReturned, kKilled, kTimedOut, kNotStarted };

struct ProbeResult {
  ProbeEnd end = ProbeEnd::kNotStarted;
  int signal = 0;
  ProbePage page;
  [[nodiscard]] bool ok() const { return end == ProbeEnd::kReturned && page.step == 0; }
  // errno of the step that failed, or EPERM for a child that a filter killed and ETIMEDOUT for one that hung.
  [[nodiscard]] int error() const;
};

struct ProbeOptions {
  const void* input = nullptr;
  std::uint32_t first = 0;  // where to begin in a list
  int limit_ms = 2000;
};

ProbeResult run_probe(void (*body)(ProbePage&), const ProbeOptions& options = {});

// The steps of `enter_user_namespace`, below the numbers of any probe.
inline constexpr std::int32_t kStepUnshareUser = 1;
inline constexpr std::int32_t kStepWriteMap = 2;
inline constexpr std::int32_t kFirstOwnStep = 10;

// In the child: a new user namespace with our own id mapped to its root, then the namespaces in `flags`.
bool enter_user_namespace(ProbePage& page);

// In the child: the same body again in a grandchild, the first process of a pid namespace that was unshared before.
void run_in_grandchild(ProbePage& page, void (*body)(ProbePage&), std::int32_t step);

}  // namespace clawrun::host
