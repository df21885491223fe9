// The store of root filesystems that rootfs-scripts/ fill: finding, listing and removing roots by name.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace clawrun::rootfs {

// Directories to search, in this order.
using Stores = std::vector<std::string>;

// $CLAWRUN_ROOTFS_STORE, then the user's own store, then the system's. Root has no store of its own below $HOME: under
// sudo that may still be the directory of an ordinary user.
Result<Stores> stores_of_caller();

struct Root {
  std::string name;
  std::string path;                                       // absolute
  std::string link_name;                                  // the root that this name is a link to, or ""
  std::vector<std::pair<std::string, std::string>> meta;  // as the script wrote it, in its order

  // A value of the metadata, or "".
  [[nodiscard]] std::string_view value(std::string_view key) const;
};

// At most 64 of a-z, 0-9, '.', '_', '-', the first one a letter or digit; ".meta" ends no name.
bool is_name(std::string_view text);

// The directory of a root. It must belong to root or the caller, and no other may write to it. A symbolic link in the store to
// another name of the same store is followed, so that `default` can be one of the roots there.
Result<std::string> find(std::string_view name, const Stores& stores);

// The root named "default", or nothing where there is none; one that is there and cannot be used is an error.
Result<std::optional<std::string>> find_default(const Stores& stores);

// All roots that find() could give, by name.
Result<std::vector<Root>> list(const Stores& stores);

// Removes a root, or only the name where it is a symbolic link. The name is free at once, and what a killed earlier
// removal has left goes too.
Result<> remove(std::string_view name, const Stores& stores);

}  // namespace clawrun::rootfs
