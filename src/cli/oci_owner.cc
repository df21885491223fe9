#include "cli/oci_owner.h"

#include "base/text.h"
#include "sys/sys.h"

namespace clawrun::cli {

std::string owner_name(std::uint32_t uid) {
  // Nearly always, and `state` is called often.
  if (uid == 0) return "root";
  constexpr std::size_t kLargest = std::size_t{4} << 20U;
  const auto passwd = sys::read_file("/etc/passwd", kLargest);
  return owner_name(uid, passwd ? *passwd : std::string());
}

std::string owner_name(std::uint32_t uid, std::string_view passwd) {
  for (const std::string_view line : split(passwd, '\n')) {
    const auto fields = split(line, ':');
    if (fields.size() < 3 || fields[0].empty()) continue;
    const auto number = parse_unsigned(fields[2], UINT32_MAX);
    if (number && *number == uid) return std::string(fields[0]);
  }
  return "#" + std::to_string(uid);
}

}  // namespace clawrun::cli
