// Where the records are: a directory of the caller's own that nobody else can write to.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace clawrun::state {

struct Place {
  std::string base;      // must be there
  std::string name;      // below it, with "sandboxes" in it
  bool own_base = true;  // the base must be the caller's too: not so for /tmp
};

// Where to look, the first that is usable counts: root's /run; an absolute $XDG_RUNTIME_DIR; /run/user/UID; /tmp, under a name
// with the uid. `runtime_dir` is nullptr where the variable is not set.
std::vector<Place> places(std::uint32_t uid, const char* runtime_dir);

struct Directory {
  UniqueFd fd;  // invalid: there is none yet
  std::string path;
};

enum class Missing : std::uint8_t { kLeave, kMake };

// Every step is checked by its descriptor: a directory, no symbolic link, of this owner, not writable by others. A base that is
// not usable passes on to the next place; what is wrong below it is an error.
Result<Directory> open_directory(const std::vector<Place>& places, std::uint32_t uid, Missing missing);

// Takes an empty directory away again where it is in /tmp, which has no business with us once nothing runs.
void remove_spare(const std::string& path);

// For the caller: of the effective uid and the environment.
Result<Directory> open_directory(Missing missing);

}  // namespace clawrun::state
