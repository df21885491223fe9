#include "seccomp/cache_file.h"

#include <seccomp.h>
#include <sha2.h>

#include <cstring>

#include "base/text.h"

namespace clawrun::seccomp {

namespace {

constexpr std::uint32_t kFormatVersion = 1;
constexpr char kMagic[8] = {'c', 'l', 'a', 'w', 'b', 'p', 'f', '\n'};
constexpr std::size_t kMaxFilters = 8;

// In the byte order of the machine: a cache is never carried to another.
struct Header {
  char magic[8];
  std::uint32_t format_version;
  std::uint32_t flags;
  std::uint32_t has_start_cookie;
  std::uint32_t filter_count;
  std::uint32_t instruction_counts[kMaxFilters];
  std::uint32_t unknown_bytes;  // names, each ended by a newline
  std::uint32_t reserved;
  Hash key;
  Hash checksum;  // of the header with this field zero, and of all that follows
};
static_assert(std::is_trivially_copyable_v<Header> && sizeof(Header) == 128);

class Sha256 {
 public:
  Sha256() { SHA256Init(&context_); }
  // With its length in front, so that two parts cannot be divided in another way.
  void add(std::string_view part) {
    const std::uint64_t size = part.size();
    update(&size, sizeof(size));
    update(part.data(), part.size());
  }
  void update(const void* data, std::size_t size) { SHA256Update(&context_, static_cast<const std::uint8_t*>(data), size); }
  Hash finish() {
    Hash hash{};
    SHA256Final(hash.data(), &context_);
    return hash;
  }

 private:
  SHA2_CTX context_{};
};

Hash checksum_of(Header header, std::string_view rest) {
  header.checksum = {};
  Sha256 sha;
  sha.update(&header, sizeof(header));
  sha.update(rest.data(), rest.size());
  return sha.finish();
}

// The length that the header promises for all that follows it; 0 where its numbers are impossible.
std::size_t promised_bytes(const Header& header) {
  if (header.filter_count == 0 || header.filter_count > kMaxFilters || header.unknown_bytes > kMaxCacheFileBytes) return 0;
  std::size_t bytes = header.unknown_bytes;
  for (std::size_t i = 0; i < header.filter_count; ++i) {
    if (header.instruction_counts[i] == 0 || header.instruction_counts[i] > BPF_MAXINSNS) return 0;
    bytes += header.instruction_counts[i] * sizeof(sock_filter);
  }
  return bytes;
}

}  // namespace

Hash cache_key(std::string_view json, const Target& target) {
  const scmp_version* library = seccomp_version();
  Sha256 sha;
  sha.add("clawrun seccomp cache " + std::to_string(kFormatVersion));
  sha.add(CLAWRUN_VERSION);
  sha.add(std::to_string(library->major) + "." + std::to_string(library->minor) + "." + std::to_string(library->micro));
  sha.add(arch_name(target.arch));
  sha.add(std::to_string(target.kernel_major) + "." + std::to_string(target.kernel_minor));
  sha.add(json);
  return sha.finish();
}

std::string to_hex(const Hash& hash) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string hex;
  for (const std::uint8_t byte : hash) {
    hex += kDigits[byte >> 4U];
    hex += kDigits[byte & 15U];
  }
  return hex;
}

std::string encode(const Compiled& compiled, const Hash& key) {
  Header header{};
  std::memcpy(header.magic, kMagic, sizeof(kMagic));
  header.format_version = kFormatVersion;
  header.flags = compiled.flags;
  header.has_start_cookie = compiled.has_start_cookie ? 1 : 0;
  header.filter_count = static_cast<std::uint32_t>(compiled.filters.size());
  header.key = key;
  std::string rest;
  for (std::size_t i = 0; i < compiled.filters.size() && i < kMaxFilters; ++i) {
    const auto& filter = compiled.filters[i];
    header.instruction_counts[i] = static_cast<std::uint32_t>(filter.size());
    rest.append(reinterpret_cast<const char*>(filter.data()), filter.size() * sizeof(sock_filter));
  }
  const std::size_t programs = rest.size();
  for (const std::string& name : compiled.unknown_syscalls) rest += name + "\n";
  header.unknown_bytes = static_cast<std::uint32_t>(rest.size() - programs);
  header.checksum = checksum_of(header, rest);
  return std::string(reinterpret_cast<const char*>(&header), sizeof(header)) + rest;
}

std::optional<Compiled> decode(std::string_view bytes, const Hash& key) {
  Header header{};
  if (bytes.size() < sizeof(header) || bytes.size() > kMaxCacheFileBytes) return std::nullopt;
  std::memcpy(&header, bytes.data(), sizeof(header));
  std::string_view rest = bytes.substr(sizeof(header));
  if (std::memcmp(header.magic, kMagic, sizeof(kMagic)) != 0 || header.format_version != kFormatVersion || header.key != key)
    return std::nullopt;
  if (promised_bytes(header) != rest.size() || checksum_of(header, rest) != header.checksum) return std::nullopt;
  Compiled compiled;
  compiled.flags = header.flags;
  compiled.has_start_cookie = header.has_start_cookie != 0;
  for (std::size_t i = 0; i < header.filter_count; ++i) {
    std::vector<sock_filter> filter(header.instruction_counts[i]);
    const std::size_t size = filter.size() * sizeof(sock_filter);
    std::memcpy(filter.data(), rest.data(), size);
    rest.remove_prefix(size);
    compiled.filters.push_back(std::move(filter));
  }
  for (const std::string_view name : split(rest, '\n'))
    if (!name.empty()) compiled.unknown_syscalls.emplace_back(name);
  return compiled;
}

}  // namespace clawrun::seccomp
