// What every fuzz target asks of an error message, and how it dies when a promise is broken.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "base/result.h"

namespace clawrun::fuzz {

// abort and not assert: libFuzzer reports it, whatever NDEBUG says.
inline void expect(bool promise) {
  if (!promise) std::abort();
}

// One line, with nothing in it that a terminal would obey.
inline void expect_clear(const Error& error) {
  expect(!error.message.empty());
  expect(error.kind != ErrorKind::kInternal);
  for (const char c : error.message) expect(static_cast<unsigned char>(c) >= 0x20 && c != 0x7f);
}

inline std::string_view text_of(const std::uint8_t* data, std::size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

}  // namespace clawrun::fuzz
