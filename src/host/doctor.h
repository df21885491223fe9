// Tries what a sandbox needs on this host and says what is there, what is lost and what mends it: `clawrun doctor`.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace clawrun::host {

struct Check {
  enum class Status : std::uint8_t { kOk, kDegraded, kMissing, kInfo };
  // What `clawrun exec` without options makes of a missing one.
  enum class Need : std::uint8_t {
    kRequired,    // it cannot start
    kProtection,  // it starts with one wall or one limit less, where the caller allows that
    kOptional,    // some other option or verb does not work
  };

  std::string id;     // "group.name": stable, for scripts
  std::string title;  // for people
  Status status = Status::kInfo;
  std::string found;
  std::string lost;    // "" where nothing is
  std::string remedy;  // the one command or setting; "" where nothing is lost
  Need need = Need::kOptional;
};

enum class Verdict : std::uint8_t { kReady, kDegraded, kUnable };

// Some hundred system calls and about twenty short-lived children, each with a time limit. Leaves nothing behind.
std::vector<Check> diagnose();

Verdict verdict_of(std::span<const Check> checks);

// "ready", "degraded" or "unable".
std::string_view verdict_word(Verdict verdict);

// One sentence: whether `clawrun exec` works here and with what lost.
std::string verdict_line(std::span<const Check> checks);

// Aligned, in groups, the verdict line last.
std::string to_text(std::span<const Check> checks);

// {"clawrun", "kernel", "checks": [{"id", "title", "status", "found", "lost", "remedy"}], "verdict"}; ends with a newline.
std::string to_json(std::span<const Check> checks);

}  // namespace clawrun::host
