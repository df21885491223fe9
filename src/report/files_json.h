// The entries of a directory as JSON.
#pragma once

#include <span>
#include <string>

#include "launch/work_files.h"

namespace clawrun::report {

// An array of objects; bytes of a name that are not UTF-8 are replaced.
std::string files_to_json(std::span<const launch::FileEntry> entries);

}  // namespace clawrun::report
