// What a pool is to be, by name.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace clawrun::pool {

inline constexpr std::uint64_t kMostSandboxes = 10'000;

enum class Grade : std::uint8_t {
  kParked,  // the command comes with the claim
  kPrimed,  // an interpreter waits for its code
};
enum class WhenEmpty : std::uint8_t { kCold, kWait };
enum class Switch : std::uint8_t { kOff, kOn };

struct Options {
  std::uint64_t size = 4;
  Grade grade = Grade::kParked;
  std::string interpreter;
  std::string prime;
  WhenEmpty when_empty = WhenEmpty::kCold;
  std::chrono::milliseconds wait{10'000};
  Switch workspace = Switch::kOff;  // claims may bring one
  Switch shrink = Switch::kOn;      // on memory pressure
};

// An unknown name or a bad value is an error that names the nearest or the allowed.
Result<> set_option(Options& options, std::string_view name, std::string_view value);

// What only all of them together can be wrong about.
Result<> check(const Options& options);

}  // namespace clawrun::pool
