// Groups of the resctrl file system, which share out cache and memory bandwidth: linux.intelRdt of the runtime specification.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace clawrun::resctrl {

// Where the whole of resctrl is mounted: the text of /proc/self/mountinfo.
std::vector<std::string> mount_points(std::string_view mountinfo);

// The first of them that leads to resctrl. Where there is none the error says what mounts it.
Result<std::string> find_root();

enum class Monitoring : unsigned char { kOff, kOn };

struct Request {
  std::string clos_id;  // "": the container's id is its name, and it is the container's own; "/": the group of everybody else
  std::string container_id;
  std::string l3_cache_schema;
  std::string mem_bw_schema;
  std::vector<std::string> schemata;
  Monitoring monitoring = Monitoring::kOff;  // a group of its own that counts what it uses
};

// The lines for the file "schemata", as config-linux.md puts them together; "" where nothing is asked for.
std::string lines_of(const Request& request);

class Group {
 public:
  // Looks, and makes nothing. A group of a name that was chosen must be there, unless lines say how to make it; where it is there
  // already its lines must be those.
  static Result<Group> find(const std::string& root, const Request& request);
  // The one of a container that is there.
  static Group named(const std::string& root, const Request& request);

  // What is to be removed with the container: the group, or in a shared one that which counts; "": nothing.
  [[nodiscard]] const std::string& own() const { return own_; }
  [[nodiscard]] const std::string& root() const { return root_; }
  // Of the process's group, and the one with what it uses.
  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] std::string counting_path() const { return monitor_.empty() ? path_ : monitor_; }

  // The directories that are missing. What it has made is gone again where it fails.
  Result<> make();
  // A new group gets its lines.
  [[nodiscard]] Result<> configure() const;
  // Before the process starts others, which come after it.
  [[nodiscard]] Result<> add(pid_t pid) const;
  // Of the group's lines those that are named.
  [[nodiscard]] Result<> write_lines(std::string_view lines) const;
  // For a container that has come to nothing, and whose process has ended.
  void take_back();

 private:
  std::string root_;
  std::string path_;
  std::string monitor_;
  std::string own_;
  std::string lines_;
  bool is_new_ = false;  // or about to be
  std::vector<std::string> made_;
};

// own() of a group that has been made.
Result<> remove(const std::string& own);

}  // namespace clawrun::resctrl
