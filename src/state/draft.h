// A file that appears whole: written and locked first, named afterwards.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "base/unique_fd.h"

namespace clawrun::state {

// Names that begin so are not of records.
inline constexpr char kDraftMark = '.';

// Unnamed: O_TMPFILE of open(2), which leaves nothing behind, whenever its maker dies.
enum class DraftKind { kUnnamed, kNamed };

class Draft {
 public:
  // kUnnamed is a wish: a file system that has no such files gets a named one.
  static Result<Draft> write(int directory, std::string_view text, DraftKind kind);
  Draft(Draft&&) = default;
  Draft& operator=(Draft&&) = delete;
  ~Draft();

  // 0, or the errno: EEXIST where the name is taken.
  [[nodiscard]] int publish(const std::string& name);

  [[nodiscard]] UniqueFd take_file() { return std::move(file_); }

 private:
  Draft(int directory, UniqueFd file, std::string name) : directory_(directory), file_(std::move(file)), name_(std::move(name)) {}
  [[nodiscard]] int link(const std::string& name);

  int directory_;
  UniqueFd file_;
  std::string name_;  // "": it has none
};

}  // namespace clawrun::state
