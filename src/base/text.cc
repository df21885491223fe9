#include "base/text.h"

#include <algorithm>
#include <limits>

namespace clawrun {

namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

std::string lowered(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), lower);
  return out;
}

struct Unit {
  std::string_view name;
  std::uint64_t factor;
};

constexpr Unit kSizeUnits[] = {{"", 1}, {"b", 1}, {"k", 1ULL << 10}, {"m", 1ULL << 20}, {"g", 1ULL << 30}, {"t", 1ULL << 40}};
constexpr Unit kTimeUnits[] = {{"ms", 1}, {"s", 1000}, {"", 1000}, {"m", 60'000}, {"h", 3'600'000}, {"d", 86'400'000}};

const Unit* find_unit(std::span<const Unit> units, std::string_view name) {
  for (const Unit& unit : units)
    if (unit.name == name) return &unit;
  return nullptr;
}

std::size_t distance(std::string_view a, std::string_view b) {
  // Optimal string alignment: insert, delete, replace, and swap of neighbours each cost one.
  std::vector<std::vector<std::size_t>> d(a.size() + 1, std::vector<std::size_t>(b.size() + 1));
  for (std::size_t i = 0; i <= a.size(); ++i) d[i][0] = i;
  for (std::size_t j = 0; j <= b.size(); ++j) d[0][j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t change = lower(a[i - 1]) == lower(b[j - 1]) ? 0 : 1;
      d[i][j] = std::min({d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + change});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
    }
  }
  return d[a.size()][b.size()];
}

}  // namespace

Result<std::uint64_t> parse_unsigned(std::string_view text, std::uint64_t max) {
  if (text.empty()) return fail(ErrorKind::kInvalid, "an empty string is not a number");
  std::uint64_t value = 0;
  for (const char c : text) {
    if (!is_digit(c)) return fail(ErrorKind::kInvalid, quoted(text) + " is not a decimal number");
    const auto digit = static_cast<std::uint64_t>(c - '0');
    if (value > (max - digit) / 10 || (value * 10) + digit > max)
      return fail(ErrorKind::kInvalid, quoted(text) + " is more than the largest allowed value, " + std::to_string(max));
    value = (value * 10) + digit;
  }
  return value;
}

Result<std::uint64_t> parse_size(std::string_view text) {
  const std::size_t end = static_cast<std::size_t>(std::ranges::find_if_not(text, is_digit) - text.begin());
  std::string suffix = lowered(text.substr(end));
  if (suffix.size() > 1 && suffix.ends_with("ib")) suffix.resize(suffix.size() - 2);
  if (suffix.size() > 1 && suffix.ends_with("b")) suffix.resize(suffix.size() - 1);
  const Unit* unit = find_unit(kSizeUnits, suffix);
  if (end == 0 || unit == nullptr)
    return fail(ErrorKind::kInvalid,
                quoted(text) + " is not a size: write a whole number of bytes with k, m, g or t, such as 64m");
  const auto number = parse_unsigned(text.substr(0, end), std::numeric_limits<std::int64_t>::max() / unit->factor);
  if (!number) return fail(ErrorKind::kInvalid, quoted(text) + " is too large for a size");
  return *number * unit->factor;
}

Result<std::chrono::milliseconds> parse_duration(std::string_view text) {
  const auto bad = [&] {
    return fail(ErrorKind::kInvalid, quoted(text) + " is not a time: write a number with ms, s, m or h, such as 500ms or 1.5s");
  };
  const std::size_t whole_end = static_cast<std::size_t>(std::ranges::find_if_not(text, is_digit) - text.begin());
  if (whole_end == 0) return bad();
  std::size_t end = whole_end;
  std::string_view decimals;
  if (end < text.size() && text[end] == '.') {
    const std::string_view rest = text.substr(end + 1);
    decimals = rest.substr(0, static_cast<std::size_t>(std::ranges::find_if_not(rest, is_digit) - rest.begin()));
    if (decimals.empty() || decimals.size() > 6) return bad();
    end += 1 + decimals.size();
  }
  const Unit* unit = find_unit(kTimeUnits, lowered(text.substr(end)));
  if (unit == nullptr) return bad();
  // A century is a limit nobody means to reach and keeps every later sum inside 64 bits.
  constexpr std::uint64_t kMaxMs = 100ULL * 366 * 86'400'000;
  const auto whole = parse_unsigned(text.substr(0, whole_end), kMaxMs / unit->factor);
  if (!whole) return fail(ErrorKind::kInvalid, quoted(text) + " is longer than the longest allowed time, 100 years");
  std::uint64_t ms = *whole * unit->factor;
  std::uint64_t scale = 1;
  std::uint64_t part = 0;
  for (const char c : decimals) {
    part = (part * 10) + static_cast<std::uint64_t>(c - '0');
    scale *= 10;
  }
  ms += part * unit->factor / scale;
  return std::chrono::milliseconds(ms);
}

Result<bool> parse_switch(std::string_view text) {
  for (const std::string_view yes : {"on", "true", "yes", "1"})
    if (text == yes) return true;
  for (const std::string_view no : {"off", "false", "no", "0"})
    if (text == no) return false;
  return fail(ErrorKind::kInvalid, quoted(text) + " is neither on nor off");
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (;;) {
    const std::size_t at = text.find(separator);
    parts.push_back(text.substr(0, at));
    if (at == std::string_view::npos) return parts;
    text.remove_prefix(at + 1);
  }
}

std::string_view nearest(std::string_view word, std::span<const std::string_view> candidates) {
  // Words of strangers can be huge and the table is quadratic: nothing so long is a typing mistake.
  if (word.empty() || word.size() > 64) return {};
  std::string_view best;
  std::size_t best_distance = word.size() < 4 ? 2 : 3;  // exclusive: one mistake in a short word, two in a long one
  for (const std::string_view candidate : candidates) {
    if (const std::size_t d = distance(word, candidate); d < best_distance) {
      best = candidate;
      best_distance = d;
    }
  }
  if (!best.empty()) return best;
  for (const std::string_view candidate : candidates)
    if (word.size() >= 3 && candidate.starts_with(word)) return candidate;
  return {};
}

std::string did_you_mean(std::string_view word, std::span<const std::string_view> candidates) {
  const std::string_view best = nearest(word, candidates);
  if (best.empty()) return {};
  return "; did you mean " + quoted(best) + "?";
}

std::string format_size(std::uint64_t bytes) {
  constexpr std::string_view kSuffix = "kmgt";
  if (bytes < 1024) return std::to_string(bytes);
  std::size_t unit = 0;
  std::uint64_t factor = 1024;
  while (unit + 1 < kSuffix.size() && bytes / factor >= 1024) {
    factor *= 1024;
    ++unit;
  }
  std::string out = std::to_string(bytes / factor);
  if (const std::uint64_t tenth = bytes % factor * 10 / factor; tenth != 0) out += "." + std::to_string(tenth);
  return out + kSuffix[unit];
}

std::string quoted(std::string_view text) {
  constexpr std::string_view kHex = "0123456789abcdef";
  constexpr std::size_t kLongest = 256;  // a message is one line that a person reads
  std::string out = "\"";
  for (const char c : text.substr(0, kLongest)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte >= 0x7f) {
      out += "\\x";
      out += kHex[byte >> 4U];
      out += kHex[byte & 15U];
    } else {
      if (c == '"' || c == '\\') out += '\\';
      out += c;
    }
  }
  if (text.size() > kLongest) out += "...";
  return out + "\"";
}

std::string shown(std::string_view text) {
  constexpr std::size_t kLongest = 4096;
  const bool plain =
      !text.empty() && text.size() <= kLongest && std::ranges::all_of(text, [](char c) { return c > ' ' && c <= '~'; });
  return plain ? std::string(text) : quoted(text);
}

std::string join(std::span<const std::string> parts, std::string_view separator) {
  std::string out;
  for (const std::string& part : parts) {
    if (!out.empty()) out += separator;
    out += part;
  }
  return out;
}

}  // namespace clawrun
