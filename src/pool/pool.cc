#include "pool/pool.h"

#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <csignal>
#include <map>
#include <mutex>
#include <thread>
#include <vector>

#include "pool/backoff.h"
#include "pool/common.h"
#include "pool/member.h"
#include "pool/pressure.h"
#include "sys/sys.h"

namespace clawrun::pool {

namespace {

// A claim is not to share its processors with the making of its successor.
constexpr std::uint64_t kRefillDelay_ns = 3'000'000;

// How many interpreters start at the same time.
constexpr std::uint64_t kStartingAtOnce = 2;
constexpr std::uint64_t kLongestStart_ns = std::chrono::nanoseconds(kLongestStart).count();

// For how long a pool stays small after memory was short.
constexpr std::uint64_t kShrunk_ns = 10'000'000'000;

// After so many failures in a row nobody waits for a first success.
constexpr unsigned kHopeless = 3;

// What an epoll event is about: one of these, or a member's number and a kind.
constexpr std::uint64_t kWake = UINT64_MAX;
constexpr std::uint64_t kTimer = UINT64_MAX - 1;
constexpr std::uint64_t kPressure = UINT64_MAX - 2;
constexpr std::uint64_t kEndOf(std::uint64_t number) {
  return number * 2;
}
constexpr std::uint64_t kReadyOf(std::uint64_t number) {
  return number * 2 + 1;
}

std::uint64_t microseconds_since(std::uint64_t begun_ns) {
  return (sys::monotonic_ns() - begun_ns) / 1000;
}

Failure other_process() {
  return fail(ErrorKind::kInvalid, "a pool belongs to the process that opened it, not to its forks: open one of their own");
}

}  // namespace

class Pool::State {
 public:
  State(Common common, const Options& options)
      : common_(std::move(common)), options_(options), park_(where_to_park(common_)), size_(options.size) {}
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() { close(); }

  Result<> open() {
    TRY(check_descriptors(common_, size_));
    epoll_.reset(::epoll_create1(EPOLL_CLOEXEC));
    wake_.reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!epoll_.valid() || !wake_.valid()) return fail_errno("opening a pool");
    timer_ = TRY(sys::timer_after(std::chrono::nanoseconds(0)));
    TRY(watch(wake_.get(), EPOLLIN, kWake));
    TRY(watch(timer_.get(), EPOLLIN, kTimer));
    if (options_.shrink == Switch::kOn) pressure_ = watch_memory_pressure();
    if (pressure_.valid()) TRY(watch(pressure_.get(), EPOLLPRI, kPressure));
    Member first = TRY(Member::make(common_, park_));
    TRY(add(std::move(first)));
    return start_thread();
  }

  [[nodiscard]] bool is_own() const { return ::getpid() == owner_; }

  Result<Claimed> claim(const Claim& claim, const engine::StreamChoice (&streams)[3]) {
    Fitted fitted = TRY(fit(common_, claim, streams));
    std::shared_ptr<const plan::Plan> plan = fitted.plan;
    std::optional<Member> member = take();
    if (!member && options_.when_empty == WhenEmpty::kWait) member = TRY(wait_for_one());
    if (!member) {
      member = TRY(Member::make(common_, park_));
      TRY(member->await_ready());
    }
    engine::LiveSandbox sandbox = TRY(member->claim(std::move(fitted)));
    return Claimed{std::move(sandbox), std::move(plan)};
  }

  Result<bool> wait_ready(std::uint64_t count, std::chrono::milliseconds at_most) {
    std::unique_lock lock(mutex_);
    if (count > size_)
      return fail(ErrorKind::kInvalid,
                  std::to_string(count) + " are more than the " + std::to_string(size_) + " that the pool keeps");
    const auto decided = [&] { return ready_.size() >= count || (ready_.empty() && backoff_.in_a_row() >= kHopeless); };
    if (at_most.count() < 0)
      changed_.wait(lock, decided);
    else
      changed_.wait_for(lock, at_most, decided);
    if (ready_.size() >= count) return true;
    if (decided()) return Failure(last_error_);
    return false;
  }

  Result<> resize(std::uint64_t size) {
    if (size == 0 || size > kMostSandboxes)
      return fail(ErrorKind::kInvalid, "size: a pool keeps 1 to " + std::to_string(kMostSandboxes) + " sandboxes");
    TRY(check_descriptors(common_, size));
    {
      const std::lock_guard lock(mutex_);
      size_ = size;
    }
    wake();
    return {};
  }

  [[nodiscard]] Stats stats() const {
    const std::lock_guard lock(mutex_);
    Stats stats = stats_;
    stats.size = size_;
    stats.ready = ready_.size();
    stats.filling = members_.size() - ready_.size() + making_;
    return stats;
  }

 private:
  using Members = std::map<std::uint64_t, Member>;

  Result<> watch(int fd, std::uint32_t events, std::uint64_t about) const {
    epoll_event event{};
    event.events = events;
    event.data.u64 = about;
    if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) return fail_errno("watching a sandbox of the pool");
    return {};
  }

  void unwatch(int fd) const { ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr); }

  void wake() const { (void)!::write(wake_.get(), "\1\0\0\0\0\0\0\0", sizeof(std::uint64_t)); }

  Result<> start_thread() {
    sigset_t all;
    sigset_t old;
    sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &old);
    try {
      thread_ = std::thread([this] { run(); });
    } catch (const std::system_error& error) {
      ::pthread_sigmask(SIG_SETMASK, &old, nullptr);
      return fail_errno("starting the thread of a pool", error.code().value());
    }
    ::pthread_sigmask(SIG_SETMASK, &old, nullptr);
    ::pthread_setname_np(thread_.native_handle(), "clawrun-pool");
    return {};
  }

  // ---- claims ----

  // The newest is the one whose memory is nearest to the processors.
  std::optional<Member> take() {
    const std::lock_guard lock(mutex_);
    if (!ready_.empty()) {
      ++stats_.hits;
      return take_newest();
    }
    if (options_.when_empty == WhenEmpty::kCold) ++stats_.misses;
    delay_refill();
    return std::nullopt;
  }

  Member take_newest() {
    const auto found = members_.find(ready_.back());
    ready_.pop_back();
    Member member = std::move(found->second);
    members_.erase(found);
    unwatch(member.pidfd());
    backoff_.succeeded();
    delay_refill();
    return member;
  }

  Result<Member> wait_for_one() {
    std::unique_lock lock(mutex_);
    ++stats_.waited;
    ++waiters_;
    wake();
    changed_.wait_for(lock, options_.wait, [&] { return !ready_.empty(); });
    --waiters_;
    if (!ready_.empty()) {
      Member member = take_newest();
      // The others, who have woken the thread already.
      if (waiters_ > 0) wake();
      return member;
    }
    ++stats_.starved;
    std::string why = "no sandbox of the pool was ready within " + std::to_string(options_.wait.count()) + " ms";
    if (backoff_.in_a_row() > 0) why += "; the last one failed: " + last_error_.message;
    return fail(ErrorKind::kSystem, why);
  }

  // Under the lock. The thread is not woken now, but in a while, by its timer.
  void delay_refill() {
    const std::uint64_t now_ns = sys::monotonic_ns();
    if (refill_at_ns_ <= now_ns) refill_at_ns_ = now_ns + kRefillDelay_ns;
    // Whoever waited may have had one made before that time, and the timer stopped.
    if (timer_at_ns_ == 0 || timer_at_ns_ > refill_at_ns_) set_timer(refill_at_ns_, now_ns);
  }

  void set_timer(std::uint64_t at_ns, std::uint64_t now_ns) {
    if (timer_at_ns_ == at_ns) return;
    timer_at_ns_ = at_ns;
    sys::set_timer(timer_.get(),
                   std::chrono::nanoseconds(at_ns == 0 ? 0 : std::max<std::uint64_t>(at_ns - std::min(at_ns, now_ns), 1)));
  }

  // ---- the thread ----

  void run() {
    // While many are made, those that are there already are not forgotten. Never a look without taking what it finds: that of
    // memory pressure is there once.
    while (take_events(make_one() ? Patience::kNone : Patience::kForever)) {
    }
  }

  // How many it is to keep now.
  [[nodiscard]] std::uint64_t wanted(std::uint64_t now_ns) const {
    return now_ns < small_until_ns_ ? std::min(size_, small_) : size_;
  }

  // Whether one may be made now; else the timer is set to when that may be otherwise.
  bool may_make() {
    const std::uint64_t now_ns = sys::monotonic_ns();
    std::uint64_t next_ns = UINT64_MAX;
    for (const auto& [number, member] : members_)
      if (member.ready_fd() >= 0) next_ns = std::min(next_ns, member.begun_ns + kLongestStart_ns);
    bool may = !closing_ && members_.size() < wanted(now_ns);
    if (common_.driver != nullptr && members_.size() - ready_.size() >= kStartingAtOnce) may = false;
    if (may) {
      const std::uint64_t at_ns = std::max(waiters_ > 0 ? 0 : refill_at_ns_, backoff_.until_ns());
      if (at_ns > now_ns) {
        may = false;
        next_ns = std::min(next_ns, at_ns);
      }
    }
    if (now_ns < small_until_ns_) next_ns = std::min(next_ns, small_until_ns_);
    if (!may) set_timer(next_ns == UINT64_MAX ? 0 : next_ns, now_ns);
    return may;
  }

  // True: look again.
  bool make_one() {
    {
      const std::lock_guard lock(mutex_);
      if (!may_make()) return false;
      ++making_;
    }
    auto made = Member::make(common_, park_);
    if (made) {
      if (auto added = add(std::move(*made), 1); !added) made = std::unexpected(std::move(added).error());
    }
    if (made) return true;
    const std::lock_guard lock(mutex_);
    --making_;
    note_failure(std::move(made).error());
    return true;
  }

  // `making`: it was counted so, and is not any more when it is there.
  Result<> add(Member member, std::uint64_t making = 0) {
    const std::lock_guard lock(mutex_);
    const std::uint64_t number = next_number_++;
    TRY(watch(member.pidfd(), EPOLLIN, kEndOf(number)));
    if (member.ready_fd() >= 0) TRY(watch(member.ready_fd(), EPOLLIN, kReadyOf(number)));
    making_ -= making;
    const auto [found, is_new] = members_.emplace(number, std::move(member));
    if (found->second.ready_fd() < 0) note_ready(number, found->second);
    return {};
  }

  void note_ready(std::uint64_t number, const Member& member) {
    ready_.push_back(number);
    ++stats_.made;
    const std::uint64_t taken_us = microseconds_since(member.begun_ns);
    stats_.refill_us_total += taken_us;
    stats_.refill_us_max = std::max(stats_.refill_us_max, taken_us);
    changed_.notify_all();
  }

  void note_failure(Error error) {
    ++stats_.failed;
    last_error_ = std::move(error);
    backoff_.failed(sys::monotonic_ns());
    changed_.notify_all();
  }

  enum class Patience : int { kNone = 0, kForever = -1 };

  // False: the pool closes.
  bool take_events(Patience patience) {
    epoll_event events[64];
    const int count = ::epoll_wait(epoll_.get(), events, 64, static_cast<int>(patience));
    std::vector<Member> gone;  // dropped after the lock is: their ends are waited for
    const std::lock_guard lock(mutex_);
    for (int i = 0; i < count; ++i) take_event(events[i].data.u64, gone);
    end_late_starts(gone);
    trim(gone);
    for (Member& member : gone) member.kill_soon();
    return !closing_;
  }

  void take_event(std::uint64_t about, std::vector<Member>& gone) {
    std::uint64_t times = 0;
    if (about == kWake) {
      (void)!::read(wake_.get(), &times, sizeof times);
      return;
    }
    if (about == kTimer) {
      (void)!::read(timer_.get(), &times, sizeof times);
      timer_at_ns_ = 0;
      return;
    }
    if (about == kPressure) return shrink();
    const auto found = members_.find(about / 2);
    if (found == members_.end()) return;
    if (about % 2 == 0) {
      note_end(found->first, found->second);
      gone.push_back(remove(found));
      return;
    }
    unwatch(found->second.ready_fd());
    if (found->second.take_ready()) return note_ready(found->first, found->second);
    note_end(found->first, found->second);
    gone.push_back(remove(found));
  }

  void note_end(std::uint64_t number, const Member& member) {
    if (std::erase(ready_, number) > 0) {
      ++stats_.died;
      last_error_ = {ErrorKind::kSystem, 0, "a sandbox of the pool ended while it was ready" + member.last_words()};
      backoff_.failed(sys::monotonic_ns());
      return;
    }
    const char* why = common_.driver != nullptr ? "the interpreter ended before it was ready" : "a sandbox of the pool ended";
    note_failure({ErrorKind::kSystem, 0, why + member.last_words()});
  }

  Member remove(Members::iterator found) {
    std::erase(ready_, found->first);
    unwatch(found->second.pidfd());
    Member member = std::move(found->second);
    members_.erase(found);
    return member;
  }

  void end_late_starts(std::vector<Member>& gone) {
    const std::uint64_t now_ns = sys::monotonic_ns();
    for (auto at = members_.begin(); at != members_.end();) {
      const auto found = at++;
      if (found->second.ready_fd() < 0 || now_ns < found->second.begun_ns + kLongestStart_ns) continue;
      note_failure({ErrorKind::kSystem, 0, "the prime script was not done within 60 s" + found->second.last_words()});
      gone.push_back(remove(found));
    }
  }

  void shrink() {
    const std::uint64_t now_ns = sys::monotonic_ns();
    const std::uint64_t before = wanted(now_ns);
    small_ = std::max<std::uint64_t>(std::min<std::uint64_t>(before, members_.size()) / 2, 1);
    small_until_ns_ = now_ns + kShrunk_ns;
  }

  // The oldest first; one that is starting is not disturbed.
  void trim(std::vector<Member>& gone) {
    const std::uint64_t now_ns = sys::monotonic_ns();
    while (members_.size() > wanted(now_ns) && !ready_.empty() && !closing_) {
      if (now_ns < small_until_ns_) ++stats_.shrunk;
      gone.push_back(remove(members_.find(ready_.front())));
    }
  }

  // ---- the end ----

  void close() {
    if (thread_.joinable()) {
      {
        const std::lock_guard lock(mutex_);
        closing_ = true;
      }
      wake();
      thread_.join();
    }
    // All first, so that they end at the same time.
    for (auto& [number, member] : members_) member.kill_soon();
    members_.clear();
  }

  const Common common_;
  const Options options_;
  const child::Park park_;
  const pid_t owner_ = ::getpid();
  UniqueFd epoll_;
  UniqueFd wake_;
  UniqueFd timer_;
  UniqueFd pressure_;
  std::thread thread_;

  mutable std::mutex mutex_;  // of all below
  std::condition_variable changed_;
  Members members_;
  std::vector<std::uint64_t> ready_;  // the newest last
  std::uint64_t next_number_ = 0;
  std::uint64_t size_;
  std::uint64_t making_ = 0;
  std::uint64_t waiters_ = 0;
  std::uint64_t refill_at_ns_ = 0;
  std::uint64_t timer_at_ns_ = 0;  // 0: not set
  std::uint64_t small_ = 0;
  std::uint64_t small_until_ns_ = 0;
  bool closing_ = false;
  Backoff backoff_;
  Error last_error_;
  Stats stats_;
};

Pool::Pool(std::unique_ptr<State> state) : state_(std::move(state)) {}
Pool::Pool(Pool&& other) noexcept = default;
Pool& Pool::operator=(Pool&& other) noexcept = default;

Pool::~Pool() {
  // In a fork the sandboxes are the parent's, and there is no thread to join.
  if (state_ && !state_->is_own()) (void)state_.release();
}

Result<Pool> Pool::open(const spec::SandboxSpec& spec, const Options& options) {
  Common common = TRY(prepare(spec, options));
  auto state = std::make_unique<State>(std::move(common), options);
  TRY(state->open());
  return Pool(std::move(state));
}

Result<Claimed> Pool::claim(const Claim& claim, const engine::StreamChoice (&streams)[3]) {
  if (!state_->is_own()) return other_process();
  return state_->claim(claim, streams);
}

Result<bool> Pool::wait_ready(std::uint64_t count, std::chrono::milliseconds at_most) {
  if (!state_->is_own()) return other_process();
  return state_->wait_ready(count, at_most);
}

Result<> Pool::resize(std::uint64_t size) {
  if (!state_->is_own()) return other_process();
  return state_->resize(size);
}

Stats Pool::stats() const {
  return state_->is_own() ? state_->stats() : Stats();
}

}  // namespace clawrun::pool
