// Landlock's rights and scopes by the ABI that brought them: landlock(7). Headers of Debian 12 know the first two ABIs.
#pragma once

#include <cstddef>
#include <cstdint>

namespace clawrun::tables {

struct LandlockAbi {
  int abi;
  std::uint64_t fs;
  std::uint64_t net;
  std::uint64_t scoped;
  std::size_t attr_size;  // of landlock_ruleset_attr
};

inline constexpr LandlockAbi kLandlockAbis[] = {
    {1, 0x1fff, 0, 0, 8},  {2, 0x3fff, 0, 0, 8},  // REFER
    {3, 0x7fff, 0, 0, 8},                         // TRUNCATE
    {4, 0x7fff, 3, 0, 16},                        // TCP bind and connect
    {5, 0xffff, 3, 0, 16},                        // IOCTL_DEV
    {6, 0xffff, 3, 3, 24},                        // abstract sockets and signals scoped
};

// The newest that we know and the kernel has; `abi` is at least 1.
constexpr const LandlockAbi& landlock_abi(int abi) {
  const LandlockAbi* best = &kLandlockAbis[0];
  for (const LandlockAbi& row : kLandlockAbis)
    if (row.abi <= abi) best = &row;
  return *best;
}

inline constexpr std::uint64_t kLandlockExecute = 1U << 0U;
inline constexpr std::uint64_t kLandlockWriteFile = 1U << 1U;
inline constexpr std::uint64_t kLandlockReadFile = 1U << 2U;
inline constexpr std::uint64_t kLandlockReadDir = 1U << 3U;
inline constexpr std::uint64_t kLandlockTruncate = 1U << 14U;
inline constexpr std::uint64_t kLandlockIoctlDev = 1U << 15U;

}  // namespace clawrun::tables
