#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <utility>

#include "cgroup/details.h"
#include "engine/containers_manage.h"
#include "engine/intel_rdt.h"
#include "oci/events.h"
#include "resctrl/stats.h"
#include "state/container_process.h"
#include "sys/sys.h"

namespace clawrun::engine {

namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

// v1 tells of such an event only through an eventfd that would have to be registered in the group: it is looked at so often.
constexpr milliseconds kLookingTime{500};

class Events {
 public:
  Events(std::string id, state::ContainerRecord record, std::optional<resctrl::Group> rdt)
      : id_(std::move(id)), record_(std::move(record)), rdt_(std::move(rdt)) {}

  [[nodiscard]] Result<std::string> stats() const {
    const cgroup::Details details = TRY(cgroup::read_details(record_.location));
    if (!rdt_) return oci::stats_json(id_, details, {});
    return oci::stats_json(id_, details, resctrl::read_stats(*rdt_));
  }

  // Until the container has ended, or the sink wants no more.
  Result<> follow(milliseconds interval, const std::function<bool(std::string_view)>& sink) {
    auto process = state::open_process(record_.init);
    if (!process) return {};
    watch_memory();
    oom_kills_ = cgroup::oom_kills(record_.location);
    for (auto next = Clock::now() + interval;;) {
      const bool ended = wait(process->get(), next);
      // The last ones too: the kernel may have killed the first process itself.
      if (!report_oom(sink) || ended) return {};
      if (Clock::now() < next) continue;
      next = Clock::now() + interval;
      const auto line = stats();
      // The group goes a moment after the process.
      if (!line && !state::is_alive(record_.init)) return {};
      if (!line) return std::unexpected(line.error());
      if (!sink(*line)) return {};
    }
  }

 private:
  // memory.events of v2 gives POLLPRI when a count in it has changed.
  void watch_memory() {
    if (record_.location.v2.path.empty()) return;
    if (auto opened = sys::open(record_.location.v2.path + "/memory.events", O_RDONLY)) memory_events_ = std::move(*opened);
    acknowledge();
  }

  // Reading arms the next notification.
  void acknowledge() const {
    char buffer[512];
    if (memory_events_.valid()) (void)!::pread(memory_events_.get(), buffer, sizeof buffer, 0);
  }

  // True: the container has ended.
  [[nodiscard]] bool wait(int process, Clock::time_point until) const {
    const auto left = std::chrono::ceil<milliseconds>(until - Clock::now());
    const auto most = memory_events_.valid() ? milliseconds(60'000) : kLookingTime;
    pollfd watched[] = {{process, POLLIN, 0}, {memory_events_.get(), POLLPRI, 0}};
    const int ready = ::poll(watched, std::size(watched), static_cast<int>(std::clamp(left, milliseconds(0), most).count()));
    if (ready > 0 && watched[1].revents != 0) acknowledge();
    return ready > 0 && watched[0].revents != 0;
  }

  bool report_oom(const std::function<bool(std::string_view)>& sink) {
    const std::uint64_t now = cgroup::oom_kills(record_.location);
    return now <= std::exchange(oom_kills_, std::max(now, oom_kills_)) || sink(oci::oom_json(id_));
  }

  std::string id_;
  state::ContainerRecord record_;
  std::optional<resctrl::Group> rdt_;
  UniqueFd memory_events_;
  std::uint64_t oom_kills_ = 0;
};

}  // namespace

Result<> events(const Runtime& runtime, const std::string& id, const EventsOptions& options,
                const std::function<bool(std::string_view line)>& sink) {
  if (options.interval <= milliseconds(0)) return fail(ErrorKind::kUsage, "duration interval must be greater than 0");
  FoundContainer found = TRY(find_container(runtime, id));
  if (found.state.status == state::ContainerStatus::kStopped || found.state.status == state::ContainerStatus::kCreating)
    return fail(ErrorKind::kInvalid, "container with id " + id + " is not running");
  if (found.state.record.location.empty())
    return fail(ErrorKind::kUnsupported, "container " + id + " has no cgroup: nothing of it is counted");
  const std::string text = TRY(found.container.read_config());
  const oci::Config config = TRY(oci::parse_config(text));
  auto rdt = TRY(rdt_group_of(config, id));
  Events events(id, std::move(found.state.record), std::move(rdt));
  if (!options.stats) return events.follow(options.interval, sink);
  const std::string line = TRY(events.stats());
  (void)sink(line);
  return {};
}

}  // namespace clawrun::engine
