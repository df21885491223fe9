#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <optional>

#include "base/text.h"
#include "cgroup/limits.h"
#include "cli/output.h"
#include "cli/quantities.h"
#include "cli/sandbox_verbs.h"
#include "cli/stats_text.h"
#include "engine/sandboxes.h"
#include "report/sandboxes.h"
#include "sys/sys.h"

namespace clawrun::cli {

namespace {

using std::chrono::milliseconds;

constexpr milliseconds kDefaultInterval{1000};
constexpr milliseconds kLeastInterval{10};

std::string json_line(const engine::Sandbox& sandbox) {
  return report::to_json(sandbox.record, sandbox.usage, std::chrono::system_clock::now()) + "\n";
}

enum class Waited { kTime, kEnd, kReaderGone };

// Until the time is over, the sandbox has ended, or nobody reads what we write.
Waited wait(const engine::Following& following, std::uint64_t until_ns) {
  for (;;) {
    const std::uint64_t now = sys::monotonic_ns();
    if (now >= until_ns) return Waited::kTime;
    pollfd polled[] = {{following.ended_fd(), POLLIN, 0}, {STDOUT_FILENO, 0, 0}};
    const timespec left{static_cast<time_t>((until_ns - now) / 1'000'000'000U),
                        static_cast<long>((until_ns - now) % 1'000'000'000U)};
    if (::ppoll(polled, 2, &left, nullptr) <= 0) continue;
    // A pipe without a reader: poll(2) POLLERR. A closed descriptor is told by the writing.
    if ((polled[1].revents & (POLLERR | POLLHUP)) != 0) return Waited::kReaderGone;
    if (polled[0].revents != 0) return Waited::kEnd;
    return Waited::kTime;
  }
}

Result<int> follow(const std::string& id, milliseconds interval, std::string (*line)(const engine::Sandbox&, Previous&)) {
  engine::Following following = TRY(engine::Following::begin(id));
  Previous previous;
  std::uint64_t next_ns = sys::monotonic_ns();
  for (;;) {
    const auto sandbox = following.look();
    if (!sandbox && sandbox.error().kind == ErrorKind::kNotFound) return 0;
    if (!sandbox) return std::unexpected(sandbox.error());
    TRY(write_out(line(*sandbox, previous)));
    next_ns += static_cast<std::uint64_t>(interval.count()) * 1'000'000U;
    // After a stop (SIGSTOP, a suspended machine) the samples that were missed are not made up for.
    next_ns = std::max(next_ns, sys::monotonic_ns());
    if (wait(following, next_ns) != Waited::kTime) return 0;
  }
}

Result<milliseconds> interval_of(const Words& words) {
  milliseconds interval = kDefaultInterval;
  for (const auto& [name, value] : words.options) {
    if (name != "interval") continue;
    const auto given = parse_duration(value);
    if (!given) return while_doing("--interval", given.error());
    if (*given < kLeastInterval) return fail(ErrorKind::kUsage, "--interval: " + quoted(value) + " is too short: at least 10ms");
    interval = *given;
  }
  if (words.has("interval") && !words.has("follow")) return fail(ErrorKind::kUsage, "--interval wants --follow");
  return interval;
}

}  // namespace

WordForm stats_form() {
  return {"stats",
          "ID",
          "Says what a running sandbox has used so far: memory, processor time, processes, disk, pressure.\n"
          "ID is the id of a sandbox, or a beginning of it that no other has.\n",
          {{"follow", "", "once a second until the sandbox ends, one line each"},
           {"interval", "TIME", "with --follow: how often (default 1s)"},
           {"json", "", "one JSON object for each sample, in one line"}}};
}

Result<int> stats_verb(std::span<char* const> args) {
  const Words words = TRY(read_words(stats_form(), args));
  if (words.has("help")) {
    TRY(write_out(help_of(stats_form())));
    return 0;
  }
  const std::string id(words.operands.front());
  const milliseconds interval = TRY(interval_of(words));
  const bool json = words.has("json");
  if (words.has("follow"))
    return follow(id, interval, json ? [](const engine::Sandbox& sandbox, Previous&) { return json_line(sandbox); } : stats_row);
  const engine::Sandbox sandbox = TRY(engine::sandbox(id));
  TRY(write_out(json ? json_line(sandbox) : stats_text(sandbox)));
  return 0;
}

}  // namespace clawrun::cli
