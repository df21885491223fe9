#include "gateway/names.h"

#include <algorithm>

namespace clawrun::gateway {

namespace {

constexpr unsigned kIndexBits = 16;
constexpr std::uint32_t kMostNames = (1U << kIndexBits) - 2;

std::uint32_t capacity(const std::optional<Network>& network) {
  if (!network) return kMostNames;
  const unsigned free_bits = 128 - network->prefix;
  if (free_bits >= kIndexBits) return kMostNames;
  return free_bits < 2 ? 0 : (1U << free_bits) - 2;
}

std::optional<Address> with_index(const std::optional<Network>& network, std::uint32_t index) {
  if (!network) return std::nullopt;
  Address address = network->first;
  address.bytes[14] = static_cast<std::uint8_t>(address.bytes[14] | (index >> 8U));
  address.bytes[15] = static_cast<std::uint8_t>(address.bytes[15] | (index & 0xffU));
  return address;
}

std::uint32_t index_in(const Network& network, const Address& address) {
  const std::uint32_t low = (std::uint32_t{address.bytes[14]} << 8U) | address.bytes[15];
  const std::uint32_t base = (std::uint32_t{network.first.bytes[14]} << 8U) | network.first.bytes[15];
  return low & ~base;
}

}  // namespace

NamePool::NamePool(std::optional<Network> v4, std::optional<Network> v6, std::uint32_t max_names)
    : v4_(v4), v6_(v6), max_names_(std::min({max_names, capacity(v4), capacity(v6)})) {}

NamePool::Addresses NamePool::addresses_at(std::uint32_t index) const {
  return {with_index(v4_, index), with_index(v6_, index)};
}

NamePool::Entries::iterator NamePool::touch(Entries::iterator entry) {
  // A pinned entry has a list of its own, whose order does not matter.
  if (pinned_.empty() || std::ranges::find(pinned_, entry->index, &Entry::index) == pinned_.end())
    recent_.splice(recent_.begin(), recent_, entry);
  return entry;
}

NamePool::Addresses NamePool::addresses_of(std::string_view name) {
  if (const auto found = by_name_.find(name); found != by_name_.end()) return addresses_at(touch(found->second)->index);
  std::uint32_t index = next_index_;
  if (by_name_.size() < max_names_) {
    ++next_index_;
  } else {
    if (recent_.empty()) return {};
    index = recent_.back().index;
    by_name_.erase(recent_.back().name);
    recent_.pop_back();
  }
  recent_.push_front({std::string(name), index});
  by_name_.emplace(name, recent_.begin());
  by_index_[index] = recent_.begin();
  Addresses made = addresses_at(index);
  made.age = Addresses::Age::kNew;
  return made;
}

void NamePool::pin(std::string_view name) {
  if (by_name_.contains(name) || by_name_.size() >= max_names_) return;
  addresses_of(name);
  pinned_.splice(pinned_.begin(), recent_, recent_.begin());
}

std::string_view NamePool::name_of(const Address& address) {
  if (!is_synthetic(address)) return {};
  const auto found = by_index_.find(index_in(address.is_v4() ? *v4_ : *v6_, address));
  if (found == by_index_.end()) return {};
  // The bits between the prefix and the index are 0 in every address that was given out.
  const Addresses given = addresses_at(found->first);
  if (address != (address.is_v4() ? given.v4 : given.v6)) return {};
  return touch(found->second)->name;
}

bool NamePool::is_synthetic(const Address& address) const {
  return (v4_ && v4_->contains(address)) || (v6_ && v6_->contains(address));
}

}  // namespace clawrun::gateway
