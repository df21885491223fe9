// What a verb's exit status means: the one table behind main, the reports and the man page.
#pragma once

#include "base/result.h"

namespace clawrun::tables {

inline constexpr int kExitOk = 0;
inline constexpr int kExitFailure = 1;          // every verb but exec: it failed
inline constexpr int kExitUsage = 2;            // every verb but exec: the words were wrong
inline constexpr int kExitTimeout = 124;        // exec: --timeout ended the command
inline constexpr int kExitSetup = 125;          // exec: clawrun failed before the command could run, usage errors included
inline constexpr int kExitNotExecutable = 126;  // exec: the command was found and cannot be executed
inline constexpr int kExitNotFound = 127;       // exec: the command was not found
inline constexpr int kExitSignalBase = 128;     // exec: 128+N, the command was ended by signal N

struct ExitRow {
  ErrorKind kind;
  int exec_code;
  int verb_code;
};

inline constexpr ExitRow kExitRows[] = {
    {ErrorKind::kUsage, kExitSetup, kExitUsage},         {ErrorKind::kInvalid, kExitSetup, kExitFailure},
    {ErrorKind::kNotFound, kExitNotFound, kExitFailure}, {ErrorKind::kNotExecutable, kExitNotExecutable, kExitFailure},
    {ErrorKind::kUnsupported, kExitSetup, kExitFailure}, {ErrorKind::kDenied, kExitSetup, kExitFailure},
    {ErrorKind::kSystem, kExitSetup, kExitFailure},      {ErrorKind::kInternal, kExitSetup, kExitFailure},
};

constexpr int exec_exit_code(ErrorKind kind) {
  for (const ExitRow& row : kExitRows)
    if (row.kind == kind) return row.exec_code;
  return kExitSetup;
}

constexpr int verb_exit_code(ErrorKind kind) {
  for (const ExitRow& row : kExitRows)
    if (row.kind == kind) return row.verb_code;
  return kExitFailure;
}

}  // namespace clawrun::tables
