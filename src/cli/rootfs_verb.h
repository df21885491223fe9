// `clawrun rootfs`: the store of root filesystems, seen and tidied by people.
#pragma once

#include <span>

#include "base/result.h"

namespace clawrun::cli {

// `args` are the words after `rootfs`; the value is the exit status.
Result<int> rootfs_verb(std::span<char* const> args);

}  // namespace clawrun::cli
