#include "systemd/bus.h"

#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>

#include "base/text.h"
#include "cgroup/systemd_protocol.h"

namespace clawrun::systemd {

namespace {

namespace protocol = cgroup::systemd_protocol;

constexpr const char* kService = "org.freedesktop.systemd1";
constexpr const char* kManagerPath = "/org/freedesktop/systemd1";
constexpr std::string_view kGone = "gone";  // nobody reads this answer
constexpr int kRetryMs = 10;
constexpr const char* kManager = "org.freedesktop.systemd1.Manager";

Failure failed_errno(std::string_view awaited, int negative) {
  return failed(awaited, strerrorname_np(-negative), strerrordesc_np(-negative));
}

// "unix:path=": of the D-Bus specification, "Server Addresses", where most bytes stand as %NN.
std::string address_of(std::string_view path) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  constexpr std::string_view kPlain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_/.";
  std::string address = "unix:path=";
  for (const char c : path) {
    const auto byte = static_cast<unsigned char>(c);
    if (kPlain.find(c) != std::string_view::npos)
      address += c;
    else
      (((address += '%') += kDigits[byte >> 4U])) += kDigits[byte & 15U];
  }
  return address;
}

struct Reply {
  Message message;
};

}  // namespace

Failure failed(std::string_view awaited, std::string_view code, std::string_view detail) {
  return fail(ErrorKind::kSystem, std::string(awaited) + "\t" + std::string(code) + "\t" + std::string(detail));
}

bool has_code(const Error& error, std::string_view code) {
  return split(error.message, '\t').at(1) == code;
}

Result<> Bus::connect(const std::vector<Socket>& sockets, Clock::time_point end) {
  std::string problems;
  for (const Socket& socket : sockets) {
    auto opened = open_in_time(socket, end, problems);
    if (!opened || bus_) return opened;
  }
  return failed(protocol::kConnecting, protocol::kMissing, problems);
}

Result<> Bus::open_in_time(const Socket& socket, Clock::time_point end, std::string& problems) {
  path_ = socket.path;
  is_peer_ = socket.is_peer;
  int r = open(socket);
  // A full queue of connections is the state of a moment, where whoever listens is not stopped: unix(7) knows no waiting for it.
  while (r == -EAGAIN) {
    if (Clock::now() >= end) return cut_off(protocol::kConnecting, protocol::kDeadline);
    pollfd command{.fd = command_, .events = 0, .revents = 0};
    if (poll(&command, 1, kRetryMs) > 0) return failed(protocol::kConnecting, kGone);
    r = open(socket);
  }
  if (r < 0) problems += (problems.empty() ? "" : ", ") + socket.path + ": " + strerrordesc_np(-r);
  return {};
}

int Bus::open(const Socket& socket) {
  sd_bus* made = nullptr;
  if (const int r = sd_bus_new(&made); r < 0) return r;
  std::unique_ptr<sd_bus, Unreference> bus(made);
  int r = sd_bus_set_address(bus.get(), address_of(socket.path).c_str());
  if (r >= 0 && !socket.is_peer) r = sd_bus_set_bus_client(bus.get(), 1);
  if (r >= 0) r = sd_bus_start(bus.get());
  if (r >= 0) bus_ = std::move(bus);
  return r;
}

Result<> Bus::watch_jobs() {
  // Between peers messages have no sender. Who has asked for a job is told about it without Subscribe (systemd 220), which would
  // have systemd tell everything to everybody.
  const int r = sd_bus_match_signal_async(bus_.get(), nullptr, is_peer_ ? nullptr : kService, kManagerPath, kManager,
                                          "JobRemoved", on_job_removed, nullptr, this);
  if (r < 0) return failed_errno("AddMatch", r);
  return {};
}

int Bus::on_job_removed(sd_bus_message* message, void* bus, sd_bus_error* /*error*/) {
  unsigned id = 0;
  const char* job = nullptr;
  const char* unit = nullptr;
  const char* result = nullptr;
  if (sd_bus_message_read(message, "uoss", &id, &job, &unit, &result) >= 0)
    static_cast<Bus*>(bus)->ended_.push_back({job, result});
  return 0;
}

int Bus::on_reply(sd_bus_message* message, void* reply, sd_bus_error* /*error*/) {
  static_cast<Reply*>(reply)->message.reset(sd_bus_message_ref(message));
  return 0;
}

Result<Message> Bus::new_call(const std::string& path, const char* interface, const char* method) {
  sd_bus_message* message = nullptr;
  const int r = sd_bus_message_new_method_call(bus_.get(), &message, kService, path.c_str(), interface, method);
  if (r < 0) return failed_errno(method, r);
  return Message(message);
}

Result<Message> Bus::call(Message message, const char* method, Clock::time_point end) {
  Reply reply;
  sd_bus_slot* slot = nullptr;
  const auto left = std::chrono::duration_cast<std::chrono::microseconds>(end - Clock::now()).count();
  if (left <= 0) return failed(method, protocol::kDeadline);
  // Our own deadline comes first; the bus's is a second lock on the same door.
  const auto limit = static_cast<std::uint64_t>(left) + 1'000'000;
  if (const int r = sd_bus_call_async(bus_.get(), &slot, message.get(), on_reply, &reply, limit); r < 0)
    return failed_errno(method, r);
  auto waited = wait([&] { return reply.message != nullptr; }, method, end);
  sd_bus_slot_unref(slot);
  if (!waited) return std::unexpected(std::move(waited).error());
  // sd-bus answers what is outstanding itself when the connection ends.
  if (sd_bus_is_open(bus_.get()) <= 0) return cut_off(method, protocol::kClosed);
  if (const sd_bus_error* error = sd_bus_message_get_error(reply.message.get()))
    return failed(method, error->name != nullptr ? error->name : "", error->message != nullptr ? error->message : "");
  return std::move(reply.message);
}

Result<std::string> Bus::wait_for_job(const std::string& job, Clock::time_point end) {
  const auto found = [&] { return std::ranges::find(ended_, job, &Ended::job); };
  if (auto waited = wait([&] { return found() != ended_.end(); }, protocol::kJob, end); !waited)
    return std::unexpected(std::move(waited).error());
  return found()->result;
}

// Whoever has not let us in has seen no call yet: then the connection is what was awaited.
Failure Bus::cut_off(std::string_view awaited, std::string_view code) const {
  return was_let_in_ ? failed(awaited, code) : failed(protocol::kConnecting, code, path_);
}

Result<> Bus::wait(const std::function<bool()>& done, std::string_view awaited, Clock::time_point end) {
  while (!done()) {
    const int r = sd_bus_process(bus_.get(), nullptr);
    if (r < 0) return cut_off(awaited, protocol::kClosed);
    was_let_in_ = was_let_in_ || sd_bus_is_ready(bus_.get()) > 0;
    if (r > 0) continue;
    if (sd_bus_is_open(bus_.get()) <= 0) return cut_off(awaited, protocol::kClosed);
    if (auto polled = poll_once(awaited, end); !polled) return polled;
  }
  return {};
}

Result<> Bus::poll_once(std::string_view awaited, Clock::time_point end) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - Clock::now()).count();
  if (left <= 0) return cut_off(awaited, protocol::kDeadline);
  const int events = sd_bus_get_events(bus_.get());
  pollfd waiting[] = {{.fd = sd_bus_get_fd(bus_.get()), .events = static_cast<short>(std::max(events, 0)), .revents = 0},
                      {.fd = command_, .events = 0, .revents = 0}};
  if (poll(waiting, 2, static_cast<int>(std::min<long>(left, INT_MAX))) < 0 && errno != EINTR)
    return failed_errno(awaited, -errno);
  if (waiting[1].revents != 0) return failed(awaited, kGone);
  return {};
}

}  // namespace clawrun::systemd
