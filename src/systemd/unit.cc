#include "systemd/unit.h"

#include <cerrno>
#include <charconv>
#include <cstdint>
#include <cstdlib>

namespace clawrun::systemd {

namespace {

constexpr const char* kManagerPath = "/org/freedesktop/systemd1";
constexpr const char* kManager = "org.freedesktop.systemd1.Manager";
constexpr const char* kInvalid = "org.freedesktop.DBus.Error.InvalidArgs";
constexpr const char* kNoSuchUnit = "org.freedesktop.systemd1.NoSuchUnit";
constexpr std::chrono::seconds kTimeToTakeBack{1};

template <typename T>
bool number(const std::string& text, T& value) {
  const auto end = std::from_chars(text.data(), text.data() + text.size(), value);
  return end.ec == std::errc() && end.ptr == text.data() + text.size();
}

template <typename T>
int append_number(sd_bus_message* message, const Step& step) {
  T value{};
  return number(step.text, value) ? sd_bus_message_append_basic(message, step.type, &value) : -EINVAL;
}

int append(sd_bus_message* message, const Step& step) {
  const int truth = step.text == "1" ? 1 : 0;
  switch (step.type) {
    case 'a':
    case 'r':
      return sd_bus_message_open_container(message, step.type, step.text.c_str());
    case '.':
      return sd_bus_message_close_container(message);
    case 's':
    case 'o':
    case 'g':
      return sd_bus_message_append_basic(message, step.type, step.text.c_str());
    case 'b':
      return sd_bus_message_append_basic(message, 'b', &truth);
    case 'y':
      return append_number<std::uint8_t>(message, step);
    case 'n':
      return append_number<std::int16_t>(message, step);
    case 'q':
      return append_number<std::uint16_t>(message, step);
    case 'i':
      return append_number<std::int32_t>(message, step);
    case 'u':
      return append_number<std::uint32_t>(message, step);
    case 'x':
      return append_number<std::int64_t>(message, step);
    case 't':
      return append_number<std::uint64_t>(message, step);
    case 'd':
      return append_number<double>(message, step);
    default:
      return -EINVAL;
  }
}

int append(sd_bus_message* message, const Property& property) {
  int r = sd_bus_message_open_container(message, 'r', "sv");
  if (r >= 0) r = sd_bus_message_append_basic(message, 's', property.name.c_str());
  if (r >= 0) r = sd_bus_message_open_container(message, 'v', property.signature.c_str());
  for (const Step& step : property.steps)
    if (r >= 0) r = append(message, step);
  if (r >= 0) r = sd_bus_message_close_container(message);
  if (r >= 0) r = sd_bus_message_close_container(message);
  return r;
}

Result<> append_properties(sd_bus_message* message, const std::vector<Property>& properties, const char* method) {
  int r = sd_bus_message_open_container(message, 'a', "(sv)");
  for (const Property& property : properties) {
    if (r >= 0) r = append(message, property);
    if (r < 0) return failed(method, kInvalid, property.name + " has a value that D-Bus cannot carry");
  }
  if (r >= 0) r = sd_bus_message_close_container(message);
  if (r < 0) return failed(method, kInvalid, "too much for one message");
  return {};
}

Result<std::string> read_job(sd_bus_message* answer, const char* method) {
  const char* job = nullptr;
  if (sd_bus_message_read(answer, "o", &job) < 0) return failed(method, kInvalid, "the answer names no job");
  return std::string(job);
}

// "done", or what else the documentation of JobRemoved names.
Result<> wait_until_done(Bus& bus, const std::string& job, Bus::Clock::time_point end) {
  const std::string result = TRY(bus.wait_for_job(job, end));
  if (result == "done") return {};
  return failed("job", result);
}

Result<> stop(Bus& bus, const std::string& unit, Bus::Clock::time_point end) {
  constexpr const char* kMethod = "StopUnit";
  Message message = TRY(bus.new_call(kManagerPath, kManager, kMethod));
  if (sd_bus_message_append(message.get(), "ss", unit.c_str(), "replace") < 0)
    return failed(kMethod, kInvalid, "the name of the unit");
  auto answer = bus.call(std::move(message), kMethod, end);
  if (!answer && has_code(answer.error(), kNoSuchUnit)) return {};
  if (!answer) return std::unexpected(std::move(answer).error());
  const std::string job = TRY(read_job(answer->get(), kMethod));
  return wait_until_done(bus, job, end);
}

// A unit that was not failed, or is gone, has nothing to be reset.
void reset_failed(Bus& bus, const std::string& unit, Bus::Clock::time_point end) {
  constexpr const char* kMethod = "ResetFailedUnit";
  auto message = bus.new_call(kManagerPath, kManager, kMethod);
  if (message && sd_bus_message_append(message->get(), "s", unit.c_str()) >= 0) (void)bus.call(std::move(*message), kMethod, end);
}

Result<std::string> control_group(Bus& bus, const std::string& unit, Bus::Clock::time_point end) {
  constexpr const char* kMethod = "Get";
  char* path = nullptr;
  if (sd_bus_path_encode("/org/freedesktop/systemd1/unit", unit.c_str(), &path) < 0)
    return failed(kMethod, kInvalid, "the name of the unit");
  const std::string object(path);
  std::free(path);
  Message message = TRY(bus.new_call(object, "org.freedesktop.DBus.Properties", kMethod));
  if (sd_bus_message_append(message.get(), "ss", "org.freedesktop.systemd1.Scope", "ControlGroup") < 0)
    return failed(kMethod, kInvalid, "the name of a property");
  const Message answer = TRY(bus.call(std::move(message), "Get of ControlGroup", end));
  const char* group = nullptr;
  if (sd_bus_message_read(answer.get(), "v", "s", &group) < 0) return failed(kMethod, kInvalid, "the control group is no string");
  return std::string(group);
}

Result<std::string> start(Bus& bus, const Request& request, Bus::Clock::time_point end) {
  constexpr const char* kMethod = "StartTransientUnit";
  TRY(bus.watch_jobs());
  Message message = TRY(bus.new_call(kManagerPath, kManager, kMethod));
  // "fail": a unit of this name that has a job waiting is somebody else's.
  int r = sd_bus_message_append(message.get(), "ss", request.unit.c_str(), "fail");
  if (r >= 0) TRY(append_properties(message.get(), request.properties, kMethod));
  if (r >= 0) r = sd_bus_message_append(message.get(), "a(sa(sv))", 0);
  if (r < 0) return failed(kMethod, kInvalid, "the name of the unit");
  // Until this is answered the unit may be another's, and is not stopped. Ours, if it comes to be, holds nothing but a process
  // that the command kills when it learns of the failure.
  const Message answer = TRY(bus.call(std::move(message), kMethod, end));
  const std::string job = TRY(read_job(answer.get(), kMethod));
  auto done = wait_until_done(bus, job, end);
  Result<std::string> group = done ? control_group(bus, request.unit, end) : std::unexpected(std::move(done).error());
  if (!group) (void)stop(bus, request.unit, Bus::Clock::now() + kTimeToTakeBack);
  return group;
}

Result<> set(Bus& bus, const Request& request, Bus::Clock::time_point end) {
  constexpr const char* kMethod = "SetUnitProperties";
  Message message = TRY(bus.new_call(kManagerPath, kManager, kMethod));
  // At run time only: what a transient unit is stays below /run.
  if (sd_bus_message_append(message.get(), "sb", request.unit.c_str(), 1) < 0)
    return failed(kMethod, kInvalid, "the name of the unit");
  TRY(append_properties(message.get(), request.properties, kMethod));
  TRY(bus.call(std::move(message), kMethod, end));
  return {};
}

Result<> stop_and_forget(Bus& bus, const Request& request, Bus::Clock::time_point end) {
  TRY(bus.watch_jobs());
  auto stopped = stop(bus, request.unit, end);
  if (!stopped) return stopped;
  reset_failed(bus, request.unit, end);
  return {};
}

}  // namespace

Result<std::string> serve(Bus& bus, const Request& request) {
  const auto end = Bus::Clock::now() + std::chrono::milliseconds(request.deadline_ms);
  TRY(bus.connect(request.sockets, end));
  if (request.verb == "start") return start(bus, request, end);
  TRY(request.verb == "set" ? set(bus, request, end) : stop_and_forget(bus, request, end));
  return std::string();
}

}  // namespace clawrun::systemd
