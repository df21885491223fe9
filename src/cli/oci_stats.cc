#include <ctime>

#include "cgroup/usage.h"
#include "cli/oci_functions.h"
#include "cli/output.h"
#include "cli/stats_text.h"
#include "engine/sandboxes.h"
#include "report/sandboxes.h"

namespace clawrun::cli {

namespace {

// The date and time at the front of what a record has (RFC 3339, UTC) as milliseconds since the epoch; the fraction is dropped.
std::uint64_t ms_of(const std::string& created) {
  std::tm parts{};
  if (::strptime(created.c_str(), "%Y-%m-%dT%H:%M:%S", &parts) == nullptr) return 0;
  const std::time_t seconds = ::timegm(&parts);
  return seconds < 0 ? 0 : static_cast<std::uint64_t>(seconds) * 1000;
}

// What is printed about a sandbox, of a container.
engine::Sandbox as_sandbox(const state::ContainerRecord& container) {
  engine::Sandbox sandbox;
  sandbox.record.id = container.id;
  sandbox.record.first = container.init;
  sandbox.record.owner = container.owner;
  sandbox.record.created_ms = ms_of(container.created);
  sandbox.record.rootfs = container.rootfs;
  sandbox.record.location = container.location;
  return sandbox;
}

}  // namespace

Result<int> oci_stats(const engine::Runtime& runtime, const OciWords& words) {
  const state::ContainerState state = TRY(engine::container_state(runtime, words.operands.front()));
  if (state.status == state::ContainerStatus::kStopped) return fail(ErrorKind::kInvalid, "container is not running");
  engine::Sandbox container = as_sandbox(state.record);
  if (!state.record.location.empty()) container.usage = TRY(cgroup::read_usage(state.record.location));
  if (words.on("json")) {
    TRY(write_out(report::to_json(container.record, container.usage, std::chrono::system_clock::now()) + "\n"));
    return 0;
  }
  std::string text = stats_text(container);
  // Its label is as wide, with the blanks behind it.
  constexpr std::string_view kSandbox = "sandbox  ";
  if (text.starts_with(kSandbox)) text.replace(0, kSandbox.size(), "container");
  TRY(write_out(text));
  return 0;
}

}  // namespace clawrun::cli
