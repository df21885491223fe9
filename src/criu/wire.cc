#include "criu/wire.h"

namespace clawrun::criu {

namespace {

enum WireType : unsigned { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

constexpr unsigned kTypeBits = 3;
constexpr unsigned kMostVarintBytes = 10;

void put_varint(std::string& message, std::uint64_t value) {
  for (; value >= 0x80; value >>= 7U) message += static_cast<char>((value & 0x7FU) | 0x80U);
  message += static_cast<char>(value);
}

Failure broken(const char* what) {
  return fail(ErrorKind::kInvalid, std::string("a message of CRIU's is broken: ") + what);
}

}  // namespace

void put_number(std::string& message, unsigned field, std::uint64_t value) {
  put_varint(message, std::uint64_t{field} << kTypeBits | kVarint);
  put_varint(message, value);
}

void put_bytes(std::string& message, unsigned field, std::string_view bytes) {
  put_varint(message, std::uint64_t{field} << kTypeBits | kBytes);
  put_varint(message, bytes.size());
  message += bytes;
}

Result<std::uint64_t> Fields::take_varint() {
  std::uint64_t value = 0;
  for (unsigned i = 0; i < kMostVarintBytes && i < rest_.size(); ++i) {
    const auto byte = static_cast<unsigned char>(rest_[i]);
    value |= std::uint64_t{byte & 0x7FU} << (7 * i);
    if ((byte & 0x80U) != 0) continue;
    rest_.remove_prefix(i + 1);
    return value;
  }
  return broken("a number does not end");
}

Result<std::string_view> Fields::take(std::uint64_t size) {
  if (size > rest_.size()) return broken("a field is longer than the message");
  const std::string_view taken = rest_.substr(0, size);
  rest_.remove_prefix(size);
  return taken;
}

Result<std::optional<Field>> Fields::next() {
  if (rest_.empty()) return std::nullopt;
  const std::uint64_t tag = TRY(take_varint());
  if (tag >> kTypeBits == 0 || tag >> kTypeBits > (1U << 29U) - 1) return broken("a field has no number");
  Field field;
  field.number = static_cast<unsigned>(tag >> kTypeBits);
  switch (tag & ((1U << kTypeBits) - 1)) {
    case kVarint:
      field.value = TRY(take_varint());
      return field;
    case kBytes: {
      const std::uint64_t size = TRY(take_varint());
      field.bytes = TRY(take(size));
      return field;
    }
    // CRIU has none of these; a later one may.
    case kFixed64:
      TRY(take(8));
      return field;
    case kFixed32:
      TRY(take(4));
      return field;
    default:
      return broken("a field is of no known type");
  }
}

}  // namespace clawrun::criu
