#include "cli/quantities.h"

#include <chrono>

#include "base/text.h"

namespace clawrun::cli {

namespace {

std::string two_digits(std::uint64_t number) {
  return (number < 10 ? "0" : "") + std::to_string(number);
}

}  // namespace

std::string format_age(std::uint64_t ms) {
  const std::uint64_t s = ms / 1000;
  if (s < 60) return std::to_string(s) + "s";
  if (s < 3600) return std::to_string(s / 60) + "m";
  if (s < 48 * 3600ULL) return std::to_string(s / 3600) + "h";
  return std::to_string(s / 86'400) + "d";
}

std::uint64_t age_ms(const state::Record& record) {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  const auto now_ms = static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(now).count());
  return now_ms > record.created_ms ? now_ms - record.created_ms : 0;
}

std::string format_time(std::uint64_t us) {
  const std::uint64_t s = us / 1'000'000;
  if (s < 10) return std::to_string(s) + "." + two_digits(us / 10'000 % 100) + "s";
  if (s < 60) return std::to_string(s) + "." + std::to_string(us / 100'000 % 10) + "s";
  if (s < 3600) return std::to_string(s / 60) + "m" + two_digits(s % 60) + "s";
  return std::to_string(s / 3600) + "h" + two_digits(s / 60 % 60) + "m";
}

std::string status_of(const engine::Sandbox& sandbox) {
  if (sandbox.usage && sandbox.usage->frozen.value_or(false)) return "paused";
  return sandbox.record.first.pid == 0 ? "starting" : "running";
}

std::string format_counted(const std::optional<std::uint64_t>& bytes) {
  return bytes ? format_size(*bytes) : "-";
}

}  // namespace clawrun::cli
