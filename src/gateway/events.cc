#include "gateway/events.h"

#include <fcntl.h>

#include <algorithm>
#include <cstdio>

namespace clawrun::gateway {

namespace {

constexpr int kPipeBytes = 1 << 20;
constexpr std::size_t kMaxText = 512;  // three of them, each byte escaped, and the rest stay below PIPE_BUF

// Bytes beyond ASCII come from nobody but a liar: they are shown as '?', so that the line is UTF-8 whatever came.
std::string json_text(std::string_view text) {
  std::string line = "\"";
  for (const char c : text.substr(0, kMaxText)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte >= 0x7f)
      line += '?';
    else if (c == '"' || c == '\\')
      (line += '\\') += c;
    else
      line += c;
  }
  return line += '"';
}

std::string text_or_null(std::string_view text) {
  return text.empty() ? "null" : json_text(text);
}

std::string rfc3339(std::chrono::system_clock::time_point time) {
  using namespace std::chrono;
  const auto ms = floor<milliseconds>(time);
  const auto day = floor<days>(ms);
  const year_month_day date(day);
  const hh_mm_ss clock(ms - day);
  char text[40];
  std::snprintf(text, sizeof text, "%04d-%02u-%02uT%02d:%02d:%02d.%03dZ", static_cast<int>(date.year()),
                static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()), static_cast<int>(clock.hours().count()),
                static_cast<int>(clock.minutes().count()), static_cast<int>(clock.seconds().count()),
                static_cast<int>(clock.subseconds().count()));
  return text;
}

}  // namespace

std::string event_line(const Event& event, std::chrono::system_clock::time_point time) {
  constexpr std::string_view kVerdicts[] = {"allowed", "denied", "failed"};
  std::string line = "{\"time\":\"" + rfc3339(time) + "\",\"host\":" + text_or_null(event.host) + ",\"address\":";
  line += event.address ? json_text(event.address->text()) : "null";
  line += ",\"port\":" + std::to_string(event.port) + ",\"protocol\":" + json_text(protocol_name(event.protocol));
  line += ",\"verdict\":" + json_text(kVerdicts[static_cast<std::size_t>(event.verdict)]);
  line += ",\"rule\":" + text_or_null(event.rule != nullptr ? event.rule->text : std::string_view());
  line += ",\"reason\":" + text_or_null(event.reason);
  line += ",\"bytes_up\":" + std::to_string(event.bytes_up) + ",\"bytes_down\":" + std::to_string(event.bytes_down);
  return line + ",\"duration_ms\":" + std::to_string(event.duration.count()) + "}";
}

// Room for the end of a thousand connections at once, as far as the user's share of pipe memory goes.
Events::Events(UniqueFd pipe) : pipe_(std::move(pipe)) {
  (void)fcntl(pipe_.get(), F_SETPIPE_SZ, kPipeBytes);
}

bool Events::try_write(const std::string& line) {
  return ::write(pipe_.get(), line.data(), line.size()) == static_cast<ssize_t>(line.size());
}

void Events::write_line(std::string line) {
  if (dropped_ > 0 && try_write("{\"event\":\"dropped\",\"count\":" + std::to_string(dropped_) + "}\n")) dropped_ = 0;
  if (dropped_ > 0 || !try_write(line += '\n')) ++dropped_;
}

void Events::ready(std::size_t connections) {
  write_line("{\"event\":\"ready\",\"connections\":" + std::to_string(connections) + "}");
}

void Events::error(std::string_view message) {
  write_line("{\"event\":\"error\",\"message\":" + json_text(message) + "}");
}

void Events::say(const Event& event) {
  write_line(event_line(event, std::chrono::system_clock::now()));
}

}  // namespace clawrun::gateway
