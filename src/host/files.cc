#include "host/files.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <climits>

#include "base/text.h"
#include "base/unique_fd.h"

namespace clawrun::host {

Result<std::string> read_file(const char* path, std::size_t max_bytes) {
  const UniqueFd fd(open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  if (!fd.valid()) return fail_errno("opening " + shown(path));
  std::string text;
  std::array<char, 4096> chunk{};
  for (;;) {
    const ssize_t got = read(fd.get(), chunk.data(), chunk.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail_errno("reading " + shown(path));
    if (got == 0) return text;
    text.append(chunk.data(), static_cast<std::size_t>(got));
    if (text.size() > max_bytes)
      return fail(ErrorKind::kInvalid, std::string(path) + " is larger than the allowed " + format_size(max_bytes));
  }
}

std::string read_or_empty(const char* path) {
  auto text = read_file(path);
  if (!text) return {};
  while (!text->empty() && text->back() == '\n') text->pop_back();
  return *std::move(text);
}

std::optional<std::int64_t> read_number(const char* path) {
  const std::string text = read_or_empty(path);
  const auto value = parse_unsigned(text, INT64_MAX);
  if (!value) return std::nullopt;
  return static_cast<std::int64_t>(*value);
}

bool exists(const char* path) {
  return faccessat(AT_FDCWD, path, F_OK, AT_EACCESS | AT_SYMLINK_NOFOLLOW) == 0;
}

std::string read_link(const char* path) {
  std::array<char, PATH_MAX> target{};
  const ssize_t length = readlink(path, target.data(), target.size());
  return length < 0 ? std::string() : std::string(target.data(), static_cast<std::size_t>(length));
}

}  // namespace clawrun::host
