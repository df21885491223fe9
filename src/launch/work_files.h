// The files in a sandbox's work directory, from outside: safe against whatever the sandbox does to them meanwhile.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace clawrun::launch {

// One entry of a directory.
struct FileEntry {
  enum class Type : std::uint8_t { kFile, kDirectory, kSymlink, kOther };
  std::string name;
  Type type = Type::kOther;
  std::uint64_t size_bytes = 0;
  std::uint32_t mode = 0;  // permission bits
  std::int64_t mtime_ms = 0;
};

// The directory where the command starts, as the command sees it, and still there when the command has ended. Paths are relative
// to it; nothing of them is ever resolved outside, through a symbolic link or into another mount. Everything is done with the
// rights of the sandbox's user, so that a file that it was given by name is one that it could have used itself.
class WorkFiles {
 public:
  struct User {
    uid_t uid = 0;
    gid_t gid = 0;
  };

  WorkFiles() = default;
  // `user`: who the sandbox's user is on the host, where that is not the caller.
  WorkFiles(UniqueFd directory, std::optional<User> user) : directory_(std::move(directory)), user_(user) {}

  // A file that appears whole or not at all, in directories that are made where they are missing.
  Result<> put(std::string_view path, std::string_view data, mode_t mode) const;

  // The whole of a regular file; a larger one is an error with EFBIG.
  [[nodiscard]] Result<std::string> get(std::string_view path, std::size_t max_bytes) const;

  // Of one directory, "" being the work directory; sorted by name.
  [[nodiscard]] Result<std::vector<FileEntry>> list(std::string_view path) const;

 private:
  UniqueFd directory_;
  std::optional<User> user_;
};

}  // namespace clawrun::launch
