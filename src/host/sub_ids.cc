#include "host/sub_ids.h"

#include <algorithm>

#include "base/text.h"
#include "host/files.h"

namespace clawrun::host {

namespace {

// The last id, 4294967295, means "no change" to chown(2) and setresuid(2) and is never mapped.
constexpr std::uint64_t kIdLimit = 0xFFFFFFFFU;

Result<SubIdRange> parse_range(std::string_view start_text, std::string_view count_text) {
  const std::uint64_t start = TRY(parse_unsigned(start_text, kIdLimit - 1));
  const std::uint64_t count = TRY(parse_unsigned(count_text, kIdLimit));
  if (count == 0) return fail(ErrorKind::kInvalid, "a range of 0 ids; at least 1 is needed");
  if (start + count > kIdLimit) return fail(ErrorKind::kInvalid, "a range that ends above the largest id, 4294967294");
  return SubIdRange{static_cast<std::uint32_t>(start), static_cast<std::uint32_t>(count)};
}

}  // namespace

Result<std::vector<SubIdRange>> parse_sub_ids(std::string_view text, std::string_view name, std::uint32_t uid) {
  const std::string number = std::to_string(uid);
  std::vector<SubIdRange> ranges;
  std::size_t line_number = 0;
  for (const std::string_view line : split(text, '\n')) {
    ++line_number;
    if (line.empty() || line.front() == '#') continue;
    const auto fields = split(line, ':');
    if (fields[0].empty() || (fields[0] != name && fields[0] != number)) continue;
    const std::string where = "line " + std::to_string(line_number);
    if (fields.size() != 3) return fail(ErrorKind::kInvalid, where + ": " + quoted(line) + " is not OWNER:START:COUNT");
    const auto range = parse_range(fields[1], fields[2]);
    if (!range) return while_doing(where, range.error());
    ranges.push_back(*range);
  }
  return ranges;
}

std::uint64_t first_free_sub_id(std::string_view text) {
  std::uint64_t free = 100'000;
  for (const std::string_view line : split(text, '\n')) {
    const auto fields = split(line, ':');
    if (fields.size() != 3) continue;
    const auto range = parse_range(fields[1], fields[2]);
    if (range) free = std::max(free, std::uint64_t{range->start} + range->count);
  }
  return free;
}

std::string login_name(std::string_view passwd_text, std::uint32_t uid) {
  const std::string number = std::to_string(uid);
  for (const std::string_view line : split(passwd_text, '\n')) {
    const auto fields = split(line, ':');
    if (fields.size() == 7 && fields[2] == number && !fields[0].empty()) return std::string(fields[0]);
  }
  return {};
}

Result<std::vector<SubIdRange>> sub_id_ranges(const char* file, std::uint32_t uid) {
  const auto text = read_file(file);
  if (!text && text.error().errno_value == ENOENT) return std::vector<SubIdRange>{};
  if (!text) return std::unexpected(text.error());
  const std::string name = login_name(read_or_empty("/etc/passwd"), uid);
  auto ranges = parse_sub_ids(*text, name, uid);
  if (!ranges) return while_doing(std::string("reading ") + file, std::move(ranges).error());
  return ranges;
}

}  // namespace clawrun::host
