// The wire format of protocol buffers, as far as CRIU's messages use it: https://protobuf.dev/programming-guides/encoding
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace clawrun::criu {

void put_number(std::string& message, unsigned field, std::uint64_t value);
// A string, or a message within the message.
void put_bytes(std::string& message, unsigned field, std::string_view bytes);

struct Field {
  unsigned number = 0;
  std::uint64_t value = 0;  // of a number
  std::string_view bytes;   // of a string or message: a part of what is read
};

// The fields of a message in their order. Pure; anything may be read.
class Fields {
 public:
  explicit Fields(std::string_view message) : rest_(message) {}

  // nullopt: there are no more.
  Result<std::optional<Field>> next();

 private:
  Result<std::uint64_t> take_varint();
  Result<std::string_view> take(std::uint64_t size);

  std::string_view rest_;
};

}  // namespace clawrun::criu
