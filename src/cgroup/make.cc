#include "cgroup/make.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <set>

#include "base/text.h"
#include "cgroup/files.h"

namespace clawrun::cgroup {

namespace {

constexpr int kMaxTries = 8;
constexpr const char* kSupervisorMark = "user.clawrun.supervisor";

Failure explain_mkdir(const std::string& path, int error) {
  const std::string doing = "making the cgroup " + shown(path);
  switch (error) {
    case EEXIST:
      return fail(ErrorKind::kInvalid,
                  doing + ": it exists already: the name is taken; choose another --name, or end what runs there");
    case EAGAIN:
      return while_doing(doing, Error{ErrorKind::kUnsupported, error,
                                      "a group above it may have no more descendants; raise cgroup.max.descendants or "
                                      "cgroup.max.depth there, or remove groups that are not used"});
    case ENOSPC:
    case ENOMEM:
      return while_doing(
          doing, Error{ErrorKind::kSystem, error, "the kernel has no room for another cgroup; remove those that are not used"});
    case EROFS:
      return while_doing(doing, Error{ErrorKind::kUnsupported, error,
                                      "cgroups are mounted read-only here; remount them writable, or leave the limits out"});
    case EACCES:
    case EPERM:
      return while_doing(doing, Error{ErrorKind::kDenied, error,
                                      "this user may not; the group above must be delegated to it: clawrun doctor says how"});
    default:
      return fail_errno(doing, error);
  }
}

std::string parent_of(const std::string& path) {
  return path.substr(0, path.rfind('/'));
}

std::vector<std::string> lacking(std::string_view text, const std::vector<std::string>& controllers) {
  std::vector<std::string> names;
  for (const std::string& controller : controllers)
    if (!has_word(text, controller)) names.push_back(controller);
  return names;
}

// All of its processes go one level down. They are the caller's own or its neighbours' in a group that was delegated whole.
Result<> move_callers(const std::string& directory) {
  const std::string below = directory + "/supervisor";
  if (::mkdir(below.c_str(), 0755) != 0 && errno != EEXIST) return explain_mkdir(below, errno);
  // Kernels before 5.7 keep no such marks; there each start finds its callers in a group of their own again.
  (void)::setxattr(below.c_str(), kSupervisorMark, "1", 1, 0);
  const UniqueFd from = TRY(open_directory(directory));
  const UniqueFd to = TRY(open_directory(below));
  for (int round = 0; round < kMaxTries; ++round) {
    const std::string text = TRY(read_control(from.get(), "cgroup.procs"));
    if (text.empty()) return {};
    for (const std::string_view pid : split(text, '\n')) {
      if (pid.empty()) continue;
      auto moved = write_control(to.get(), "cgroup.procs", pid);
      if (moved || moved.error().errno_value == ESRCH) continue;
      return while_doing("moving process " + std::string(pid) + " from " + directory + " to " + below +
                             " (a group with processes can have no limited groups below it)",
                         moved.error());
    }
  }
  return fail(ErrorKind::kSystem, "the cgroup " + directory + " gets new processes faster than they can be moved out of it");
}

// Makes a directory, and those above it, so that `controllers` can be used in it.
Result<> ensure(const std::string& directory, const std::vector<std::string>& controllers, const std::string& root) {
  if (auto fd = open_directory(directory)) {
    const std::string available = TRY(read_control(fd->get(), "cgroup.controllers"));
    if (lacking(available, controllers).empty()) return {};
  }
  if (directory.size() <= root.size())
    return fail(ErrorKind::kUnsupported, "cgroup.controllers of " + root + " does not list " + join(controllers, ", "));
  TRY(ensure(parent_of(directory), controllers, root));
  TRY(enable_controllers(parent_of(directory), controllers));
  if (::mkdir(directory.c_str(), 0755) != 0 && errno != EEXIST) return explain_mkdir(directory, errno);
  return {};
}

Result<> prepare_parent(const Place& place) {
  const Place::Base& base = place.v2;
  if (auto enabled = enable_controllers(base.directory, base.controllers); enabled) return {};
  TRY(ensure(base.directory, base.controllers, base.root));
  auto enabled = enable_controllers(base.directory, base.controllers);
  if (enabled || enabled.error().errno_value != EBUSY || !place.v2_move_callers) return enabled;
  TRY(move_callers(base.directory));
  return enable_controllers(base.directory, base.controllers);
}

// cpuset(7): a new group may use nothing until both are set.
Result<> inherit_cpuset(const std::string& leaf) {
  const UniqueFd parent = TRY(open_directory(parent_of(leaf)));
  const UniqueFd child = TRY(open_directory(leaf));
  constexpr const char* kFiles[][2] = {{"cpuset.mems", "cpuset.effective_mems"}, {"cpuset.cpus", "cpuset.effective_cpus"}};
  for (const auto& [file, effective] : kFiles) {
    const auto own = read_control(child.get(), file);
    if (own && !own->empty() && *own != "\n") continue;
    auto value = read_control(parent.get(), effective);
    if (!value) value = read_control(parent.get(), file);
    if (!value) return while_doing("reading the cpuset above " + leaf, value.error());
    TRY(write_control(child.get(), file, *value));
  }
  return {};
}

bool is_cpuset(const std::vector<std::string>& controllers) {
  return std::ranges::find(controllers, "cpuset") != controllers.end();
}

// Of a hierarchy of v1. Somebody else may have made them and left their cpusets empty.
Result<> make_directories(const Place::Base& base, const std::string& directory) {
  if (directory.size() <= base.root.size()) return {};
  TRY(make_directories(base, parent_of(directory)));
  if (::mkdir(directory.c_str(), 0755) != 0 && errno != EEXIST) return explain_mkdir(directory, errno);
  if (is_cpuset(base.controllers)) TRY(inherit_cpuset(directory));
  return {};
}

Result<std::size_t> count_processes(const std::string& directory) {
  const UniqueFd fd = TRY(open_directory(directory));
  const std::string text = TRY(read_control(fd.get(), "cgroup.procs"));
  auto count = static_cast<std::size_t>(std::ranges::count(text, '\n'));
  for (const std::string& name : groups_in(directory)) count += TRY(count_processes(directory + "/" + name));
  return count;
}

bool is_frozen(const std::string& directory) {
  const auto fd = open_directory(directory);
  if (!fd) return false;
  const auto state = read_control(fd->get(), "freezer.state");
  const auto freeze = read_control(fd->get(), "cgroup.freeze");
  return (state && !state->starts_with("THAWED")) || (freeze && freeze->starts_with("1"));
}

// The words are those that engines know.
Result<> check_existing(const std::string& leaf) {
  const std::size_t count = TRY(count_processes(leaf));
  if (count != 0)
    return fail(ErrorKind::kInvalid, "container's cgroup is not empty: " + std::to_string(count) + " process(es) found in " +
                                         shown(leaf) + "; end them, or choose another linux.cgroupsPath");
  if (is_frozen(leaf))
    return fail(ErrorKind::kInvalid,
                "container's cgroup unexpectedly frozen: " + shown(leaf) + "; thaw it, or choose another linux.cgroupsPath");
  return {};
}

// A process that joined it would stop before it could say why.
Result<> check_not_frozen_above(const std::string& leaf) {
  for (std::string path = parent_of(leaf); ::access((path + "/cgroup.procs").c_str(), F_OK) == 0; path = parent_of(path))
    if (is_frozen(path))
      return fail(ErrorKind::kInvalid, "container's cgroup unexpectedly frozen: the group above it, " + shown(path) +
                                           ", is; thaw it, or choose another linux.cgroupsPath");
  return {};
}

// 0, or the errno.
Result<int> make_or_use(const std::string& leaf, Existing existing) {
  if (::mkdir(leaf.c_str(), 0755) == 0) return 0;
  const int error = errno;
  if (error != EEXIST || existing == Existing::kRefused) return error;
  TRY(check_existing(leaf));
  return 0;
}

std::set<std::uint64_t> processors(std::string_view list) {
  std::set<std::uint64_t> all;
  for (std::string_view range : split(list, ',')) {
    while (range.ends_with('\n')) range.remove_suffix(1);
    const auto ends = split(range, '-');
    const auto first = parse_unsigned(ends[0], 65535);
    const auto last = parse_unsigned(ends.back(), 65535);
    if (!first || !last) continue;
    for (std::uint64_t i = *first; i <= *last; ++i) all.insert(i);
  }
  return all;
}

// v2 takes any list, and gives the processors of the group above where none of it can be had.
Result<> check_cpuset(int directory, const Write& write, bool was_written) {
  auto effective = read_control(directory, "cpuset.cpus.effective");
  if (!effective) effective = read_control(directory, "cpuset.effective_cpus");
  if (!effective) return while_doing(name_of(write.setting, write.asked_by), effective.error());
  const auto wanted = processors(write.value);
  const auto given = processors(*effective);
  if (was_written && !given.empty() && std::ranges::includes(wanted, given)) return {};
  std::string allowed = *effective;
  while (allowed.ends_with('\n')) allowed.pop_back();
  return fail(ErrorKind::kInvalid, name_of(write.setting, write.asked_by) + " " + quoted(write.value) +
                                       ": not all of these processors can be used here; what can is " + allowed);
}

}  // namespace

bool is_supervisor_group(const std::string& directory) {
  char value = 0;
  return ::getxattr(directory.c_str(), kSupervisorMark, &value, 1) == 1;
}

Result<> enable_controllers(const std::string& directory, const std::vector<std::string>& controllers) {
  const UniqueFd fd = TRY(open_directory(directory));
  const std::string enabled = TRY(read_control(fd.get(), "cgroup.subtree_control"));
  std::string text;
  for (const std::string& controller : lacking(enabled, controllers)) text += (text.empty() ? "+" : " +") + controller;
  if (text.empty()) return {};
  auto written = write_control(fd.get(), "cgroup.subtree_control", text);
  if (written) return {};
  Error error = std::move(written).error();
  if (error.errno_value == EBUSY)
    error.message +=
        ": the group holds processes itself, and cgroup v2 allows no limited groups below it then; start clawrun from a "
        "group of its own (systemd-run --user --scope -p Delegate=yes), or use --cgroup-path";
  return while_doing("enabling controllers in " + directory, std::move(error));
}

Result<> make_leaf_v2(const Place& place, const std::string& leaf) {
  for (int i = 0;; ++i) {
    if (place.offer_all) TRY(offer_controllers(place.v2.root, place.v2.directory));
    TRY(prepare_parent(place));
    if (place.existing == Existing::kUsedIfEmpty) TRY(check_not_frozen_above(leaf));
    const int error = TRY(make_or_use(leaf, place.existing));
    if (error == 0) return {};
    // The last of other sandboxes may have taken the group above with it just now.
    if (error != ENOENT || i == kMaxTries) return explain_mkdir(leaf, error);
  }
}

Result<> make_leaf_v1(const Place::Base& base, const Location::Directory& leaf, Existing existing) {
  const bool is_shared = existing == Existing::kUsedIfEmpty;
  // Others may have made the groups above and left their cpusets empty.
  if (is_shared && is_cpuset(leaf.controllers)) TRY(make_directories(base, base.directory));
  const bool has_freezer = std::ranges::find(leaf.controllers, "freezer") != leaf.controllers.end();
  if (is_shared && has_freezer) TRY(check_not_frozen_above(leaf.path));
  int error = TRY(make_or_use(leaf.path, existing));
  if (error == ENOENT) {
    TRY(make_directories(base, base.directory));
    error = TRY(make_or_use(leaf.path, existing));
  }
  if (error != 0) return explain_mkdir(leaf.path, error);
  if (!is_cpuset(leaf.controllers)) return {};
  auto inherited = inherit_cpuset(leaf.path);
  if (!inherited) ::rmdir(leaf.path.c_str());
  return inherited;
}

Result<> offer_controllers(const std::string& root, const std::string& directory) {
  if (directory.size() > root.size()) {
    TRY(offer_controllers(root, parent_of(directory)));
    if (::mkdir(directory.c_str(), 0755) != 0 && errno != EEXIST) return explain_mkdir(directory, errno);
  }
  const auto fd = open_directory(directory);
  if (!fd) return {};
  const auto available = read_control(fd->get(), "cgroup.controllers");
  const auto enabled = read_control(fd->get(), "cgroup.subtree_control");
  if (!available || !enabled) return {};
  for (std::string_view word : split(std::string_view(*available).substr(0, available->find('\n')), ' ')) {
    // One by one: the kernel takes all of a list or nothing, and realtime processes elsewhere keep "cpu" from being enabled.
    if (!word.empty() && !has_word(*enabled, word))
      (void)write_control(fd->get(), "cgroup.subtree_control", "+" + std::string(word));
  }
  return {};
}

Result<> apply(int directory, const Write& write) {
  auto written = write_control(directory, write.file.c_str(), write.value);
  if (!written && written.error().errno_value == ENOENT && !write.other_file.empty())
    written = write_control(directory, write.other_file.c_str(), write.other_value);
  if (write.file == "cpuset.cpus") return check_cpuset(directory, write, written.has_value());
  if (written) return {};
  Error error = std::move(written).error();
  if (write.optional && error.errno_value == ENOENT) return {};
  switch (error.errno_value) {
    case ENOENT:
      error.kind = ErrorKind::kUnsupported;
      error.message = "this kernel has no " + write.file + (write.other_file.empty() ? "" : " and no " + write.other_file) +
                      (write.asked_by == AskedBy::kOptions ? "; leave the option out" : "; leave it out");
      break;
    case ENODEV:
      error.message += "; the device is not a whole disk of this host (lsblk shows MAJ:MIN)";
      break;
    case EINVAL:
    case ERANGE:
      error.kind = ErrorKind::kInvalid;
      error.message += "; the kernel does not take this value here";
      break;
    case EBUSY:
      error.message += "; the group uses more than that already";
      break;
    default:
      break;
  }
  return while_doing(name_of(write.setting, write.asked_by), std::move(error));
}

Result<> apply_all(int directory, const std::vector<Write>& writes) {
  std::vector<const Write*> again;
  for (const Write& write : writes) {
    auto applied = apply(directory, write);
    if (applied) continue;
    if (!write.may_wait || applied.error().errno_value != EINVAL) return applied;
    again.push_back(&write);
  }
  for (const Write* write : again) TRY(apply(directory, *write));
  return {};
}

Result<> apply_unified(int directory, const Limits& limits, const std::vector<std::string>& elsewhere) {
  for (const auto& [file, value] : limits.unified) {
    if (std::ranges::find(elsewhere, controller_of_file(file)) != elsewhere.end()) continue;
    // Files such as io.max take a line with each write.
    for (const std::string_view line : split(value, '\n')) {
      if (line.empty() && !value.empty()) continue;
      auto written = write_control(directory, file.c_str(), line);
      if (written) continue;
      Error error = std::move(written).error();
      if (error.errno_value == ENOENT)
        error = {ErrorKind::kUnsupported, ENOENT, "there is no such file in a cgroup of this kernel; leave it out"};
      return while_doing("linux.resources.unified." + shown(file), std::move(error));
    }
  }
  return {};
}

}  // namespace clawrun::cgroup
