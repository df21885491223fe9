// The records in one directory. state.h has the same for the caller's own directory.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "state/state.h"

namespace clawrun::state {

class Store {
 public:
  // An invalid descriptor: a directory that is not there, in which nothing is found. `uid` is the owner of what is believed.
  Store(UniqueFd directory, std::string path, std::uint32_t uid)
      : directory_(std::move(directory)), path_(std::move(path)), uid_(uid) {}

  [[nodiscard]] const std::string& path() const { return path_; }
  Result<Entry> create(const Record& record) &&;
  [[nodiscard]] Result<Listing> list() const;
  [[nodiscard]] Result<Record> find(const std::string& id) const;
  [[nodiscard]] Swept sweep(std::size_t at_most) const;

 private:
  struct File {
    UniqueFd fd;
    Record record;
  };

  struct Names {
    std::vector<std::string> files;
    std::vector<std::string> drafts;
  };

  [[nodiscard]] Result<Names> names() const;
  // kNotFound: it has gone meanwhile, or it is locked and to be skipped. Any other error is of a file that cannot be believed.
  enum class Locked : std::uint8_t { kRead, kSkip };  // kSkip leaves it locked by us
  [[nodiscard]] Result<File> open(const std::string& name, Locked locked) const;
  [[nodiscard]] Result<UniqueFd> open_file(const std::string& name) const;
  [[nodiscard]] Result<bool> sweep_one(const std::string& name) const;
  [[nodiscard]] Result<> sweep_locked(const File& file, const std::string& name) const;
  void sweep_draft(const std::string& name) const;
  [[nodiscard]] Result<> make_room(const std::string& name, std::chrono::steady_clock::time_point until) const;

  UniqueFd directory_;
  std::string path_;
  std::uint32_t uid_;
};

}  // namespace clawrun::state
