// Paths of a container's root, walked by descriptor: what a hostile image puts in the way leads nowhere else.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace clawrun::container {

enum class LastLink : std::uint8_t { kFollow, kRefuse };

// `path` as it is seen from inside `root` (an O_PATH directory), with O_PATH: links are followed inside the root, magic links
// refused. kNotFound where it does not exist.
Result<UniqueFd> open_in_root(int root, const std::string& path, LastLink last = LastLink::kFollow);

// The same, made where it is missing, with its parents (0755). What is there must be a directory.
Result<UniqueFd> make_directory_in_root(int root, const std::string& path, mode_t mode = 0755);

// The same for a mount point that is no directory: an empty file, where nothing is there.
Result<UniqueFd> make_file_in_root(int root, const std::string& path);

// The directory above the last part of `path`, made where it is missing; `name` is that part.
Result<UniqueFd> open_parent_in_root(int root, const std::string& path, std::string& name);

// "/proc/self/fd/N", for the calls that know no descriptors. Only while the host's /proc is still there.
std::string path_of(int fd);

}  // namespace clawrun::container
