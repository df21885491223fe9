// The files that hooks write to: the annotations run.oci.hooks.stdout and run.oci.hooks.stderr.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"
#include "launch/hooks.h"
#include "oci/config.h"

namespace clawrun::launch {

struct HookOutput {
  UniqueFd out;  // invalid: nobody asked for a file
  UniqueFd err;

  // Opened with the caller's rights, made with mode 0600 where they are missing, and appended to. A symbolic link in the last
  // place, and what is no regular file, is an error.
  static Result<HookOutput> open(const oci::Config& config);

  void direct(HookOptions& options) const {
    options.stdout_fd = out.get();
    options.stderr_fd = err.get();
  }
};

}  // namespace clawrun::launch
