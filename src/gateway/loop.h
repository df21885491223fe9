// One thread's loop: descriptors that have become ready, times that have come, and objects that end.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace clawrun::gateway {

using Clock = std::chrono::steady_clock;

class Handler {
 public:
  Handler() = default;
  virtual ~Handler() = default;
  Handler(const Handler&) = delete;
  Handler& operator=(const Handler&) = delete;
  virtual void on_ready(std::uint32_t epoll_events) = 0;
};

class Deadline;

class Loop {
 public:
  Result<> open();

  // Edge-triggered where the events have EPOLLET; the handler must be discarded through the loop, or outlive it. A descriptor
  // leaves the loop when it is closed.
  Result<> watch(int fd, std::uint32_t epoll_events, Handler& handler);
  void change(int fd, std::uint32_t epoll_events, Handler& handler);
  void forget(int fd);

  // on_ready(0) before the next wait.
  void again(Handler& handler) { again_.push_back(&handler); }

  // Destroyed when no event that is already there can mean it.
  void discard(std::unique_ptr<Handler> handler);

  // Runs until stop().
  Result<> run();
  void stop() { is_running_ = false; }

 private:
  friend class Deadline;
  using Times = std::multimap<Clock::time_point, Deadline*>;

  [[nodiscard]] int wait_ms() const;
  void run_due();

  UniqueFd epoll_;
  bool is_running_ = true;
  Times times_;
  std::vector<Handler*> again_;
  std::vector<std::unique_ptr<Handler>> discarded_;
};

// Calls back once at a time that can be changed; never after it is destroyed.
class Deadline {
 public:
  Deadline(Loop& loop, std::function<void()> call) : loop_(loop), call_(std::move(call)), at_(loop.times_.end()) {}
  ~Deadline() { clear(); }
  Deadline(const Deadline&) = delete;
  Deadline& operator=(const Deadline&) = delete;

  void set(Clock::duration from_now);
  void clear();
  [[nodiscard]] bool is_set() const { return at_ != loop_.times_.end(); }

 private:
  friend class Loop;
  Loop& loop_;
  std::function<void()> call_;
  Loop::Times::iterator at_;
};

}  // namespace clawrun::gateway
