// Numbers, sizes, durations, switches and words as people write them.
#include "base/text.h"

#include <string>

#include "check.h"

namespace clawrun::fuzz {
namespace {

template <typename T>
void expect_clear_failure(const Result<T>& result) {
  if (!result) expect_clear(result.error());
}

void numbers(std::string_view text) {
  const auto number = parse_unsigned(text);
  const auto size = parse_size(text);
  const auto duration = parse_duration(text);
  expect_clear_failure(number);
  expect_clear_failure(size);
  expect_clear_failure(duration);
  expect_clear_failure(parse_switch(text));
  if (number && size) expect(*number == *size);
  if (duration) expect(duration->count() >= 0);
  // What is printed of a number is read back as that number.
  if (number) expect(*parse_unsigned(std::to_string(*number)) == *number);
}

void words(std::string_view text) {
  constexpr std::string_view kWords[] = {"timeout", "tmpfs", "env", "network"};
  (void)nearest(text, kWords);
  for (const char c : quoted(text)) expect(c >= 0x20 && c < 0x7f);
  std::size_t length = 0;
  const auto parts = split(text, ':');
  for (const std::string_view part : parts) length += part.size();
  expect(length + parts.size() - 1 == text.size());
}

}  // namespace
}  // namespace clawrun::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto text = clawrun::fuzz::text_of(data, size);
  clawrun::fuzz::numbers(text);
  clawrun::fuzz::words(text);
  return 0;
}
