// A connection to systemd through sd-bus, on which nothing is waited for beyond a deadline or the life of the command.
#pragma once

#include <systemd/sd-bus.h>

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "systemd/request.h"

namespace clawrun::systemd {

// The error of a request: its message is the three parts of an answer that follow "error" (cgroup/systemd_protocol.h), because
// the words for them are the command's to choose.
[[nodiscard]] Failure failed(std::string_view awaited, std::string_view code, std::string_view detail = {});
[[nodiscard]] bool has_code(const Error& error, std::string_view code);

struct Unreference {
  void operator()(sd_bus* bus) const { sd_bus_unref(bus); }
  void operator()(sd_bus_message* message) const { sd_bus_message_unref(message); }
};
using Message = std::unique_ptr<sd_bus_message, Unreference>;

// A job of systemd's that has ended.
struct Ended {
  std::string job;
  std::string result;
};

class Bus {
 public:
  using Clock = std::chrono::steady_clock;

  // `command` is the socket to the command, whose end is noticed while waiting.
  explicit Bus(int command) : command_(command) {}
  Bus(const Bus&) = delete;
  Bus& operator=(const Bus&) = delete;
  ~Bus() = default;

  // To the first socket that takes connections. Whether we are let in shows later.
  Result<> connect(const std::vector<Socket>& sockets, Clock::time_point end);

  // Asks to be told about jobs; to be called before the call that makes one, which may end it before it is answered.
  Result<> watch_jobs();

  Result<Message> new_call(const std::string& path, const char* interface, const char* method);

  // The answer to a call, or the error that came instead.
  Result<Message> call(Message message, const char* method, Clock::time_point end);

  // Returns when the job has ended: its result.
  Result<std::string> wait_for_job(const std::string& job, Clock::time_point end);

 private:
  int open(const Socket& socket);
  Result<> open_in_time(const Socket& socket, Clock::time_point end, std::string& problems);
  [[nodiscard]] Failure cut_off(std::string_view awaited, std::string_view code) const;
  // Handles messages until `done`.
  Result<> wait(const std::function<bool()>& done, std::string_view awaited, Clock::time_point end);
  Result<> poll_once(std::string_view awaited, Clock::time_point end);
  static int on_job_removed(sd_bus_message* message, void* bus, sd_bus_error* error);
  static int on_reply(sd_bus_message* message, void* reply, sd_bus_error* error);

  int command_;
  std::unique_ptr<sd_bus, Unreference> bus_;
  std::string path_;
  bool is_peer_ = false;
  bool was_let_in_ = false;
  std::vector<Ended> ended_;
};

}  // namespace clawrun::systemd
