#include "sys/helper_program.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <vector>

#include "base/text.h"
#include "sys/own_program.h"
#include "sys/sys.h"

namespace clawrun::sys {

namespace {

std::string own_directory() {
  const std::string path = own_path();
  return path.substr(0, path.rfind('/'));
}

bool is_only_written_by(const struct stat& file, uid_t owner) {
  return (file.st_uid == owner || file.st_uid == 0) && (file.st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

// Beside a program that root runs from a directory such as /tmp, anybody may have put a file: a neighbour is taken only where
// it and its directory belong to who owns the program.
Result<HelperProgram> open_neighbour(const std::string& directory, const std::string& file_name) {
  struct stat own {};
  struct stat around {};
  struct stat file {};
  HelperProgram program{{}, directory + "/" + file_name};
  const UniqueFd folder = TRY(sys::open(directory, O_PATH | O_DIRECTORY));
  program.file = UniqueFd(::openat(folder.get(), file_name.c_str(), O_PATH | O_CLOEXEC | O_NOFOLLOW));
  if (!program.file.valid()) return fail_errno(program.path);
  if (::stat("/proc/self/exe", &own) != 0 || ::fstat(folder.get(), &around) != 0 || ::fstat(program.file.get(), &file) != 0)
    return fail_errno(program.path);
  if (!is_only_written_by(around, own.st_uid) || !is_only_written_by(file, own.st_uid))
    return fail(ErrorKind::kDenied, program.path + ": others than the owner of this program can write to it");
  return program;
}

}  // namespace

Result<HelperProgram> find_helper(const std::string& name) {
  const std::string file_name = "clawrun-" + name;
  std::vector<std::string> tried;
  if (const std::string own = own_directory(); !own.empty()) {
    for (const std::string& layout : {std::string(), "/" + name, std::string("/../libexec/clawrun")}) {
      auto program = open_neighbour(own + layout, file_name);
      if (program) return program;
      if (program.error().kind == ErrorKind::kDenied) tried.push_back(program.error().message);
    }
  }
  const std::string installed = CLAWRUN_LIBEXECDIR "/" + file_name;
  auto file = sys::open(installed, O_PATH);
  if (file) return HelperProgram{std::move(*file), installed};
  tried.push_back(file.error().message);
  return fail(ErrorKind::kUnsupported, "the helper for " + name + " is not installed (" + join(tried, "; ") + ")");
}

}  // namespace clawrun::sys
