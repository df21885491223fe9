#include "resctrl/group.h"

#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ranges>

#include "base/text.h"
#include "resctrl/schemata.h"
#include "sys/sys.h"

namespace clawrun::resctrl {

namespace {

constexpr long kResctrlMagic = 0x7655821;  // RDTGROUP_SUPER_MAGIC, which older headers do not have
constexpr std::size_t kMaxText = std::size_t{1} << 20U;
constexpr std::size_t kMaxMountinfo = std::size_t{64} << 20U;

// "\040" and its like, for what would end a field of mountinfo: proc(5).
std::string unescaped(std::string_view field) {
  const auto is_octal = [](char c) { return c >= '0' && c <= '7'; };
  std::string text;
  for (std::size_t i = 0; i < field.size(); ++i) {
    if (field[i] == '\\' && i + 3 < field.size() && std::ranges::all_of(field.substr(i + 1, 3), is_octal)) {
      const int code = (field[i + 1] - '0') * 64 + (field[i + 2] - '0') * 8 + (field[i + 3] - '0');
      text += static_cast<char>(code);
      i += 3;
    } else {
      text += field[i];
    }
  }
  return text;
}

// What the kernel adds to the errno of the last thing that was asked of it: resctrl.rst, "info/last_cmd_status".
Failure with_status(const std::string& root, Error error) {
  const auto text = sys::read_file(root + "/info/last_cmd_status", kMaxText);
  if (text && !text->empty() && *text != "ok\n") {
    std::string line = *text;
    while (line.ends_with('\n')) line.pop_back();
    error.message += " (the kernel says " + quoted(line) + ")";
  }
  return Failure(std::move(error));
}

Result<> make_directory(const std::string& root, const std::string& path) {
  if (::mkdir(path.c_str(), 0755) == 0) return {};
  return with_status(root, fail_errno("making the resctrl group " + shown(path)).error());
}

bool is_directory(const std::string& path) {
  struct stat info {};
  return ::lstat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
}

Result<> check_lines(const std::string& root, const std::string& path, const std::string& lines) {
  const std::string text = TRY(sys::read_file(path + "/schemata", kMaxText));
  const auto step = sys::read_file(root + "/info/MB/bandwidth_gran", kMaxText);
  const std::string difference = first_difference(lines, text, step ? number_at_start(*step) : 0);
  if (difference.empty()) return {};
  return fail(ErrorKind::kInvalid,
              "the resctrl group " + shown(path) + " is there already, and with other schemata: " + difference);
}

}  // namespace

std::vector<std::string> mount_points(std::string_view mountinfo) {
  std::vector<std::string> found;
  for (const std::string_view line : split(mountinfo, '\n')) {
    const std::size_t dash = line.find(" - resctrl ");
    if (dash == std::string_view::npos) continue;
    const auto fields = split(line.substr(0, dash), ' ');
    // A bind mount of one group is not the whole.
    if (fields.size() >= 6 && fields[3] == "/") found.push_back(unescaped(fields[4]));
  }
  return found;
}

Result<std::string> find_root() {
  const std::string mountinfo = TRY(sys::read_file("/proc/self/mountinfo", kMaxMountinfo));
  for (const std::string& point : mount_points(mountinfo)) {
    // Another file system may lie over it.
    struct statfs info {};
    if (::statfs(point.c_str(), &info) == 0 && info.f_type == kResctrlMagic) return point;
  }
  const auto known = sys::read_file("/proc/filesystems", kMaxText);
  if (known && known->find("\tresctrl\n") == std::string::npos)
    return fail(ErrorKind::kUnsupported,
                "this kernel has no resctrl on this processor (it needs Intel RDT or its like, and CONFIG_X86_CPU_RESCTRL)");
  return fail(ErrorKind::kUnsupported,
              "resctrl is not mounted where this runtime runs; `mount -t resctrl resctrl /sys/fs/resctrl` mounts it");
}

Group Group::named(const std::string& root, const Request& request) {
  Group group;
  group.root_ = root;
  const bool is_chosen = !request.clos_id.empty();
  const std::string& name = is_chosen ? request.clos_id : request.container_id;
  group.path_ = name == "/" ? root : root + "/" + name;
  if (request.monitoring == Monitoring::kOn) group.monitor_ = group.path_ + "/mon_groups/" + request.container_id;
  // Others may be in a group whose name was chosen, or may count on it: it stays.
  group.own_ = is_chosen ? group.monitor_ : group.path_;
  group.lines_ = lines_of(request);
  return group;
}

Result<Group> Group::find(const std::string& root, const Request& request) {
  Group group = named(root, request);
  const bool is_chosen = !request.clos_id.empty();
  const bool is_there = is_directory(group.path_);
  if (is_there && !is_chosen)
    return fail(ErrorKind::kInvalid,
                "there is a resctrl group " + shown(group.path_) + " already, which is not this container's");
  if (!is_there && is_chosen && group.lines_.empty())
    return fail(ErrorKind::kInvalid,
                "there is no resctrl group " + shown(group.path_) +
                    "; without l3CacheSchema, memBwSchema or schemata it must be there before the container");
  if (is_there && !group.lines_.empty()) TRY(check_lines(root, group.path_, group.lines_));
  group.is_new_ = !is_there;
  if (!group.monitor_.empty() && is_directory(group.monitor_))
    return fail(ErrorKind::kInvalid,
                "there is a resctrl group " + shown(group.monitor_) + " already, which is not this container's");
  return group;
}

Result<> Group::make() {
  for (const std::string& path : {is_new_ ? path_ : std::string(), monitor_}) {
    if (path.empty()) continue;
    if (auto made = make_directory(root_, path); !made) {
      take_back();
      return made;
    }
    made_.push_back(path);
  }
  return {};
}

Result<> Group::configure() const {
  return is_new_ && !lines_.empty() ? write_lines(lines_) : Result<>{};
}

Result<> Group::add(pid_t pid) const {
  // In this order: a group that counts takes only processes of the group that it is in.
  for (const std::string& path : {path_, monitor_})
    if (!path.empty())
      if (auto written = sys::write_proc_file(path + "/tasks", std::to_string(pid)); !written)
        return with_status(root_, written.error());
  return {};
}

Result<> Group::write_lines(std::string_view lines) const {
  auto written = sys::write_proc_file(path_ + "/schemata", lines);
  if (!written) return with_status(root_, written.error());
  return {};
}

void Group::take_back() {
  for (const std::string& path : made_ | std::views::reverse) {
    // Somebody else may have come into a group with a chosen name.
    const auto tasks = sys::read_file(path + "/tasks", kMaxText);
    if (!tasks || tasks->empty()) (void)::rmdir(path.c_str());
  }
  made_.clear();
}

Result<> remove(const std::string& own) {
  // The groups that count inside of it go with it.
  if (own.empty() || ::rmdir(own.c_str()) == 0 || errno == ENOENT) return {};
  return fail_errno("removing the resctrl group " + shown(own));
}

}  // namespace clawrun::resctrl
