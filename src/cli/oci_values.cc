#include "cli/oci_values.h"

#include <algorithm>
#include <cctype>
#include <csignal>
#include <limits>
#include <string>

#include "base/text.h"
#include "tables/signals.h"

namespace clawrun::cli {

namespace {

using std::chrono::milliseconds;

// Linux has 64, and the first two real-time ones belong to glibc: signal(7).
constexpr int kLastSignal = 64;
constexpr int kRtMin = 34;

// signal(7): other names of the same numbers.
constexpr tables::SignalRow kAliases[] = {{SIGABRT, "SIGIOT"}, {SIGCHLD, "SIGCLD"}, {SIGIO, "SIGPOLL"}};

std::string upper(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return out;
}

// "SIGRTMIN", "SIGRTMIN+3", "SIGRTMAX-1"; 0 where it is none of them.
int real_time_signal(std::string_view name) {
  const bool from_first = name.starts_with("SIGRTMIN");
  if (!from_first && !name.starts_with("SIGRTMAX")) return 0;
  name.remove_prefix(8);
  if (name.empty()) return from_first ? kRtMin : kLastSignal;
  if (name.front() != (from_first ? '+' : '-')) return 0;
  const auto offset = parse_unsigned(name.substr(1), kLastSignal - kRtMin);
  if (!offset) return 0;
  const int distance = static_cast<int>(*offset);
  return from_first ? kRtMin + distance : kLastSignal - distance;
}

}  // namespace

Result<std::int64_t> parse_signed(std::string_view text) {
  const bool negative = text.starts_with('-');
  constexpr auto kMax = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  const auto number = parse_unsigned(text.substr(negative ? 1 : 0), kMax);
  if (!number) return fail(ErrorKind::kInvalid, quoted(text) + " is not a whole number");
  const auto value = static_cast<std::int64_t>(*number);
  return negative ? -value : value;
}

Result<std::int64_t> parse_limit(std::string_view text) {
  if (text == "-1") return -1;
  const std::uint64_t bytes = TRY(parse_size(text));
  constexpr auto kMax = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  if (bytes > kMax) return fail(ErrorKind::kInvalid, quoted(text) + " is too large");
  return static_cast<std::int64_t>(bytes);
}

Result<milliseconds> parse_interval(std::string_view text) {
  constexpr milliseconds kLongest = std::chrono::hours(24 * 365);
  const Failure wrong = fail(ErrorKind::kUsage, quoted(text) + " is not a time such as 5s, 500ms or 1m30s");
  milliseconds sum{0};
  std::string_view rest = text;
  if (rest.empty()) return wrong;
  while (!rest.empty()) {
    const std::size_t unit = rest.find_first_not_of("0123456789.");
    if (unit == 0 || unit == std::string_view::npos) return wrong;
    const std::size_t end = std::min(rest.find_first_of("0123456789.", unit), rest.size());
    const auto part = parse_duration(rest.substr(0, end));
    if (!part || *part > kLongest) return wrong;
    sum += *part;
    if (sum > kLongest) return wrong;
    rest.remove_prefix(end);
  }
  if (sum.count() <= 0) return fail(ErrorKind::kUsage, "duration interval must be greater than 0");
  return sum;
}

Result<int> parse_signal(std::string_view text) {
  if (const auto number = parse_unsigned(text, kLastSignal)) return static_cast<int>(*number);
  std::string name = upper(text);
  if (!name.starts_with("SIG")) name.insert(0, "SIG");
  for (const tables::SignalRow& row : tables::kSignals)
    if (row.name == name) return row.number;
  for (const tables::SignalRow& row : kAliases)
    if (row.name == name) return row.number;
  if (const int number = real_time_signal(name); number != 0) return number;
  return fail(ErrorKind::kInvalid, "unknown signal " + quoted(text));
}

}  // namespace clawrun::cli
