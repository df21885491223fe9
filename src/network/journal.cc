#include "network/journal.h"

#include <unistd.h>

#include <algorithm>

#include "network/decision.h"

namespace clawrun::network {

namespace {

// A sandbox decides how many there are: what is kept of them is bounded.
constexpr std::size_t kMostEvents = 1000;
constexpr std::size_t kMostDenied = 256;
constexpr std::size_t kMostSaid = 20;

}  // namespace

void Journal::add(spec::NetworkDecision decision) {
  if (decision.time.empty()) decision.time = now_text();
  // One write for a line, so that sandboxes may share a log. A full disk, or a pipe that nobody reads, stops nothing.
  if (log_.valid()) {
    const std::string line = log_line(decision, sandbox_);
    (void)!::write(log_.get(), line.data(), line.size());
  }
  if (decision.verdict == "denied") {
    count_refusal(decision);
    say_first_refusal(decision);
  }
  if (use_.events.size() < kMostEvents)
    use_.events.push_back(std::move(decision));
  else
    ++use_.events_lost;
}

void Journal::count_refusal(const spec::NetworkDecision& decision) {
  const auto is_same = [&](const spec::NetworkUse::Denied& denied) {
    const spec::NetworkDecision& other = denied.first;
    return other.host == decision.host && other.address == decision.address && other.port == decision.port &&
           other.protocol == decision.protocol;
  };
  const auto found = std::ranges::find_if(use_.denied, is_same);
  if (found != use_.denied.end())
    ++found->count;
  else if (use_.denied.size() < kMostDenied)
    use_.denied.push_back({decision, 1});
}

// Of a host, whatever the port: who scans is not to fill the terminal.
void Journal::say_first_refusal(const spec::NetworkDecision& decision) {
  if (said_.size() > kMostSaid) return;
  if (!said_.insert(decision.host.empty() ? decision.address : decision.host).second) return;
  if (said_.size() > kMostSaid)
    say("network: more hosts were refused; --net-log FILE and --report have them all");
  else
    say(refusal_in_words(decision));
}

}  // namespace clawrun::network
