#include "seccomp/program.h"

#include <linux/seccomp.h>

#include <cstddef>

#include "seccomp/profile.h"

namespace clawrun::seccomp {

namespace {

constexpr std::size_t kMaxFilters = 8;
constexpr std::uint16_t kLoad = BPF_LD | BPF_W | BPF_ABS;
constexpr std::uint16_t kJumpIfEqual = BPF_JMP | BPF_JEQ | BPF_K;
// Both architectures are little-endian: the low half of an argument lies first.
constexpr std::uint32_t kLowOffset = offsetof(seccomp_data, args) + (5 * sizeof(std::uint64_t));
constexpr std::uint32_t kHighOffset = kLowOffset + sizeof(std::uint32_t);

bool compares(const sock_filter& load, const sock_filter& jump, std::uint32_t offset, std::uint32_t value) {
  return load.code == kLoad && load.k == offset && jump.code == kJumpIfEqual && jump.k == value;
}

}  // namespace

std::size_t instruction_count(const Compiled& compiled) {
  std::size_t count = 0;
  for (const auto& filter : compiled.filters) count += filter.size();
  return count;
}

Result<> check_sizes(const Compiled& compiled) {
  if (compiled.filters.empty() || compiled.filters.size() > kMaxFilters)
    return fail(ErrorKind::kInvalid, "a seccomp profile must give between one and " + std::to_string(kMaxFilters) + " filters");
  for (const auto& filter : compiled.filters)
    if (filter.empty() || filter.size() > BPF_MAXINSNS)
      return fail(ErrorKind::kInvalid, "a seccomp filter of " + std::to_string(filter.size()) +
                                           " instructions; the kernel takes 1 to " + std::to_string(BPF_MAXINSNS));
  return {};
}

void set_start_cookie(Compiled& compiled, std::uint64_t cookie) {
  if (!compiled.has_start_cookie) return;
  constexpr auto kPlaceholderLow = static_cast<std::uint32_t>(kStartCookiePlaceholder);
  constexpr auto kPlaceholderHigh = static_cast<std::uint32_t>(kStartCookiePlaceholder >> 32U);
  for (auto& filter : compiled.filters) {
    for (std::size_t i = 1; i < filter.size(); ++i) {
      if (compares(filter[i - 1], filter[i], kLowOffset, kPlaceholderLow))
        filter[i].k = static_cast<std::uint32_t>(cookie);
      else if (compares(filter[i - 1], filter[i], kHighOffset, kPlaceholderHigh))
        filter[i].k = static_cast<std::uint32_t>(cookie >> 32U);
    }
  }
}

}  // namespace clawrun::seccomp
