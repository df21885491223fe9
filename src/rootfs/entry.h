// One name in one store: what stands there, without following any link.
#pragma once

#include <optional>
#include <string>

#include "base/result.h"

namespace clawrun::rootfs::internal {

struct Entry {
  std::string path;
  std::string link_name;  // of a symbolic link: the name that it stands for
  uid_t owner = 0;
  mode_t mode = 0;
};

// Nothing where the store has no such name, or something under it that is neither a directory nor a link to a name.
Result<std::optional<Entry>> look_up(const std::string& store, const std::string& name);

}  // namespace clawrun::rootfs::internal
