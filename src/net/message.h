// Netlink messages: netlink(7), rtnetlink(7). Built attribute by attribute, and taken apart without belief in their lengths.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace clawrun::net {

// The bytes of a number or of a header of the kernel's.
template <typename T>
std::string bytes_of(const T& value) {
  static_assert(std::is_trivially_copyable_v<T>);
  const auto bytes = std::bit_cast<std::array<char, sizeof(T)>>(value);
  return {bytes.data(), bytes.size()};
}

// The value that `bytes` begin with, or nullopt where they are too few.
template <typename T>
std::optional<T> value_at_start(std::string_view bytes) {
  static_assert(std::is_trivially_copyable_v<T>);
  if (bytes.size() < sizeof(T)) return std::nullopt;
  T value;
  std::memcpy(&value, bytes.data(), sizeof value);
  return value;
}

class Request {
 public:
  // `header` is the fixed part that this type of message has: ifinfomsg, ifaddrmsg.
  template <typename Header>
  Request(std::uint16_t type, std::uint16_t flags, const Header& header) : type_(type), flags_(flags) {
    append(bytes_of(header));
  }

  void add(std::uint16_t attribute, std::string_view bytes);
  void add_number(std::uint16_t attribute, std::uint32_t number) { add(attribute, bytes_of(number)); }
  void add_text(std::uint16_t attribute, const std::string& text) { add(attribute, {text.c_str(), text.size() + 1}); }

  // The whole message.
  [[nodiscard]] std::string bytes(std::uint32_t sequence) const;

 private:
  void append(std::string_view bytes);

  std::uint16_t type_;
  std::uint16_t flags_;
  std::string payload_;
};

// One message that the kernel sent; `payload` lives as long as the packet.
struct Reply {
  std::uint16_t type = 0;
  std::uint16_t flags = 0;
  std::uint32_t sequence = 0;
  std::string_view payload;
};

// The messages of one packet. What a wrong length makes unreadable ends it.
std::vector<Reply> replies_in(std::string_view packet);

struct Attribute {
  std::uint16_t type = 0;
  std::string_view bytes;
};

// What follows the first `header_size` bytes of a payload.
std::vector<Attribute> attributes_in(std::string_view payload, std::size_t header_size);

// The first of this type.
std::optional<std::string_view> find_attribute(const std::vector<Attribute>& attributes, std::uint16_t type);

// Up to its NUL.
std::string text_of(std::string_view bytes);

}  // namespace clawrun::net
