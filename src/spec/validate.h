// From what was asked for to what can be run: every problem at once, and a type that only a valid specification has.
#pragma once

#include <expected>
#include <string>
#include <vector>

#include "spec/spec.h"

namespace clawrun::spec {

struct Problem {
  std::string setting;  // the name in settings(), or "command"
  std::string message;
};

class ValidSpec {
 public:
  const SandboxSpec& operator*() const { return spec_; }
  const SandboxSpec* operator->() const { return &spec_; }

 private:
  explicit ValidSpec(SandboxSpec spec) : spec_(std::move(spec)) {}
  friend std::expected<ValidSpec, std::vector<Problem>> validate(SandboxSpec spec);
  SandboxSpec spec_;
};

// Pure. Pass-through variables and environment files have been resolved before (engine/resolve.h).
std::expected<ValidSpec, std::vector<Problem>> validate(SandboxSpec spec);

// Absolute, without "." or ".." parts, repeated or trailing slashes; or "" where `path` cannot be made so.
std::string normalized(std::string_view path);

}  // namespace clawrun::spec
