// The addresses that stand for names inside the sandbox: each bound to one name, never to anything of the outside.
#pragma once

#include <cstdint>
#include <list>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "gateway/address.h"

namespace clawrun::gateway {

class NamePool {
 public:
  // Either network may be missing. At most `max_names` names at a time; of more, the least recently used one gives up its
  // addresses.
  NamePool(std::optional<Network> v4, std::optional<Network> v6, std::uint32_t max_names);

  struct Addresses {
    std::optional<Address> v4;
    std::optional<Address> v6;
    enum class Age : std::uint8_t { kKnown, kNew } age = Age::kKnown;
  };
  // The same addresses for the same name, as long as the pool is not exhausted by others.
  Addresses addresses_of(std::string_view name);
  // A name that keeps its addresses whatever else is asked for.
  void pin(std::string_view name);

  // "" where no name has that address.
  std::string_view name_of(const Address& address);
  [[nodiscard]] bool is_synthetic(const Address& address) const;

 private:
  struct Entry {
    std::string name;
    std::uint32_t index = 0;
  };
  using Entries = std::list<Entry>;

  Entries::iterator touch(Entries::iterator entry);
  [[nodiscard]] Addresses addresses_at(std::uint32_t index) const;

  std::optional<Network> v4_;
  std::optional<Network> v6_;
  std::uint32_t max_names_;
  std::uint32_t next_index_ = 1;  // the first address of a network is nobody's
  Entries recent_;                // the most recently used first
  Entries pinned_;
  std::map<std::string, Entries::iterator, std::less<>> by_name_;
  std::map<std::uint32_t, Entries::iterator> by_index_;
};

}  // namespace clawrun::gateway
