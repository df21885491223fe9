#include "engine/emit_bundle.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <memory>
#include <optional>

#include "base/text.h"
#include "base/unique_fd.h"
#include "report/bundle.h"
#include "seccomp/builtin.h"
#include "seccomp/cache.h"
#include "sys/sys.h"

namespace clawrun::engine {

namespace {

using host::HostEntry;
using report::BundleEntry;

constexpr std::uint32_t kBundleIds = 65536;

// ---- what a bundle is made of, besides the plan ----

Result<std::optional<seccomp::Table>> table_of(const plan::Plan& plan) {
  if (plan.seccomp_name == "unconfined") return std::nullopt;
  std::string json;
  if (const seccomp::BuiltinProfile* builtin = seccomp::find_builtin(plan.seccomp_name); builtin != nullptr)
    json = builtin->json;
  else
    json = TRY(seccomp::read_profile_file(plan.seccomp_name));
  const seccomp::Profile profile = TRY(seccomp::parse_profile(json));
  return seccomp::make_table(profile, seccomp::native_target());
}

// v1 without swap accounting has no such file, and a runtime that is to write it fails.
bool counts_swap(const plan::Plan& plan) {
  if (!plan.cgroup) return false;
  return std::ranges::none_of(plan.cgroup->place.v1, [](const cgroup::Place::Base& base) {
    return std::ranges::find(base.controllers, "memory") != base.controllers.end() &&
           ::access((base.directory + "/memory.memsw.limit_in_bytes").c_str(), F_OK) != 0;
  });
}

std::optional<HostEntry::Kind> kind_of(mode_t mode) {
  if (S_ISDIR(mode)) return HostEntry::Kind::kDirectory;
  if (S_ISREG(mode)) return HostEntry::Kind::kFile;
  if (S_ISLNK(mode)) return HostEntry::Kind::kSymlink;
  return std::nullopt;
}

Result<std::string> link_target(int directory, const std::string& name) {
  std::string target(4096, '\0');
  const ssize_t length = ::readlinkat(directory, name.c_str(), target.data(), target.size());
  if (length <= 0) return fail_errno("reading the link " + quoted(name));
  target.resize(static_cast<std::size_t>(length));
  return target;
}

Result<std::vector<std::string>> names_in(int directory) {
  using Listing = std::unique_ptr<DIR, decltype([](DIR* listing) { ::closedir(listing); })>;
  UniqueFd own(::openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  const Listing listing(own.valid() ? ::fdopendir(own.get()) : nullptr);
  if (!listing) return fail_errno("listing a directory");
  static_cast<void>(own.release());  // closed by closedir
  std::vector<std::string> names;
  // NOLINTNEXTLINE(concurrency-mt-unsafe): no other thread has this stream, which is all that readdir(3) asks
  while (const dirent* entry = ::readdir(listing.get()))
    if (const std::string_view name = entry->d_name; name != "." && name != "..") names.emplace_back(name);
  std::ranges::sort(names);
  return names;
}

// The entries of a root directory; those of a directory that holds mount points one by one.
class RootListing {
 public:
  explicit RootListing(std::vector<std::string> mount_points) : mount_points_(std::move(mount_points)) {}

  Result<std::vector<report::RootEntry>> of(const std::string& root) {
    const UniqueFd directory = TRY(sys::open(root, O_RDONLY | O_DIRECTORY));
    TRY(list(directory.get(), ""));
    return std::move(entries_);
  }

 private:
  Result<> list(int directory, const std::string& path) {
    const std::vector<std::string> names = TRY(names_in(directory));
    for (const std::string& name : names) TRY(add(directory, name, path + "/" + name));
    return {};
  }

  Result<> add(int directory, const std::string& name, const std::string& path) {
    struct stat info {};
    if (::fstatat(directory, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) return fail_errno("looking at " + quoted(path));
    const auto kind = kind_of(info.st_mode);
    if (!kind) return {};  // a socket, a FIFO or a device node at this place is nothing to a program
    report::RootEntry entry{{.path = path, .kind = *kind, .link_target = {}}};
    if (*kind == HostEntry::Kind::kSymlink) entry.entry.link_target = TRY(link_target(directory, name));
    const bool is_point = std::ranges::find(mount_points_, path) != mount_points_.end();
    const bool holds_points =
        !is_point && *kind == HostEntry::Kind::kDirectory &&
        std::ranges::any_of(mount_points_, [&](const auto& point) { return point.starts_with(path + "/"); });
    entry.only_made = is_point || holds_points;
    entries_.push_back(std::move(entry));
    if (!holds_points) return {};
    const UniqueFd below(::openat(directory, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!below.valid()) return fail_errno("opening " + quoted(path));
    return list(below.get(), path);
  }

  std::vector<std::string> mount_points_;
  std::vector<report::RootEntry> entries_;
};

Result<report::BundleFacts> gather_facts(const plan::Plan& plan, const spec::IdRange& uid_range) {
  report::BundleFacts facts;
  if (plan.change_identity) {
    if (uid_range.count < kBundleIds)
      return fail(ErrorKind::kInvalid, "--uid-range: bundles have the last 65536 ids of the range, and this one holds only " +
                                           std::to_string(uid_range.count));
    facts.first_host_id = uid_range.start + (uid_range.count - kBundleIds);
  }
  facts.seccomp = TRY(table_of(plan));
  facts.counts_swap = counts_swap(plan);
  if (const std::string* root = report::root_directory(plan); root != nullptr) {
    auto entries = RootListing(report::mount_points(plan)).of(*root);
    if (!entries) return while_doing("--rootfs " + shown(*root), entries.error());
    facts.root_entries = std::move(*entries);
    struct stat info {};
    if (::stat(root->c_str(), &info) != 0) return fail_errno("--rootfs " + shown(*root));
    // We have to write into it, and nobody else may.
    facts.root_mode = (info.st_mode & 07777U & ~022U) | 0700U;
  }
  return facts;
}

// ---- on disk ----

// Who wants us gone while something is half made has his wish a moment later.
class SignalsHeld {
 public:
  SignalsHeld() {
    sigset_t set;
    sigemptyset(&set);
    for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGQUIT}) sigaddset(&set, signal);
    ::pthread_sigmask(SIG_BLOCK, &set, &before_);
  }
  SignalsHeld(const SignalsHeld&) = delete;
  SignalsHeld& operator=(const SignalsHeld&) = delete;
  ~SignalsHeld() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

 private:
  sigset_t before_{};
};

std::string draft_name() {
  std::uint64_t number = 0;
  // Only a name that is free; where it is not, making it fails.
  if (::getrandom(&number, sizeof number, 0) < 0) number = static_cast<std::uint64_t>(::getpid());
  return ".clawrun-bundle-" + std::to_string(number);
}

Failure taken() {
  return fail(ErrorKind::kInvalid, "it is there already; a new or an empty directory is wanted");
}

// Where the bundle is to be, and the name that it gets there.
struct Place {
  UniqueFd parent;
  std::string name;
};

Result<Place> open_place(std::string_view directory) {
  while (directory.size() > 1 && directory.ends_with('/')) directory.remove_suffix(1);
  const std::size_t slash = directory.rfind('/');
  const bool has_parent = slash != std::string_view::npos;
  Place place;
  place.name = directory.substr(has_parent ? slash + 1 : 0);
  if (place.name.empty() || place.name == "." || place.name == "..")
    return fail(ErrorKind::kInvalid, "that is not the name of a new directory");
  const std::string parent(has_parent ? directory.substr(0, std::max<std::size_t>(slash, 1)) : ".");
  place.parent = TRY(sys::open(parent, O_RDONLY | O_DIRECTORY));
  // For a message before anything is made; rename(2) decides.
  struct stat info {};
  if (::fstatat(place.parent.get(), place.name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno != ENOENT) return fail_errno("looking at it");
    return place;
  }
  if (!S_ISDIR(info.st_mode)) return taken();
  const UniqueFd fd(::openat(place.parent.get(), place.name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd.valid()) return fail_errno("opening it");
  const std::vector<std::string> names = TRY(names_in(fd.get()));
  if (!names.empty()) return taken();
  return place;
}

// The bundle beside its place, reachable by nobody else; what was made of it goes away with it unless it is published.
class Draft {
 public:
  explicit Draft(Place place) : place_(std::move(place)), draft_name_(draft_name()) {}
  Draft(const Draft&) = delete;
  Draft& operator=(const Draft&) = delete;
  ~Draft() {
    if (!is_made_) return;
    for (auto path = made_.rbegin(); path != made_.rend(); ++path)
      if (::unlinkat(fd_.get(), path->c_str(), 0) != 0) ::unlinkat(fd_.get(), path->c_str(), AT_REMOVEDIR);
    ::unlinkat(place_.parent.get(), draft_name_.c_str(), AT_REMOVEDIR);
  }

  Result<> make() {
    if (::mkdirat(place_.parent.get(), draft_name_.c_str(), 0700) != 0) return fail_errno("making a directory");
    is_made_ = true;
    fd_.reset(::openat(place_.parent.get(), draft_name_.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!fd_.valid()) return fail_errno("opening the new directory");
    return {};
  }

  Result<> add(const BundleEntry& entry) {
    for (std::size_t slash = entry.path.find('/'); slash != std::string::npos; slash = entry.path.find('/', slash + 1))
      TRY(make_directory(entry.path.substr(0, slash), 0755));
    switch (entry.kind) {
      case BundleEntry::Kind::kDirectory:
        return make_directory(entry.path, entry.mode);
      case BundleEntry::Kind::kFile:
        return make_file(entry);
      case BundleEntry::Kind::kSymlink:
        if (::symlinkat(entry.data.c_str(), fd_.get(), entry.path.c_str()) != 0) return fail_errno("making " + shown(entry.path));
        made_.push_back(entry.path);
        return {};
    }
    return {};
  }

  // The group may pass through, and nothing more.
  Result<> open_to(std::uint32_t gid) {
    if (::fchown(fd_.get(), static_cast<uid_t>(-1), gid) != 0 || ::fchmod(fd_.get(), 0710) != 0)
      return fail_errno("giving the directory the group " + std::to_string(gid));
    return {};
  }

  // An empty directory makes room: rename(2).
  Result<> publish() {
    if (::renameat(place_.parent.get(), draft_name_.c_str(), place_.parent.get(), place_.name.c_str()) != 0) {
      if (errno == ENOTEMPTY || errno == EEXIST || errno == ENOTDIR) return taken();
      return fail_errno("giving the directory its name");
    }
    is_made_ = false;
    return {};
  }

 private:
  Result<> make_directory(const std::string& path, std::uint32_t mode) {
    if (::mkdirat(fd_.get(), path.c_str(), 0700) == 0) {
      made_.push_back(path);
      // Whatever the umask.
      if (::fchmodat(fd_.get(), path.c_str(), mode, 0) != 0) return fail_errno("making " + shown(path));
      return {};
    }
    struct stat info {};
    if (errno != EEXIST || ::fstatat(fd_.get(), path.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0)
      return fail_errno("making " + shown(path));
    // Through a link of the root's a mount point could not be made without leaving the draft.
    if (!S_ISDIR(info.st_mode))
      return fail(ErrorKind::kUnsupported, shown(path) + " would have to be a directory, and is none in this root");
    return {};
  }

  Result<> make_file(const BundleEntry& entry) {
    const UniqueFd file(::openat(fd_.get(), entry.path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    // A mount point that the root shows already.
    if (!file.valid() && errno == EEXIST && entry.data.empty()) return {};
    if (!file.valid()) return fail_errno("making " + shown(entry.path));
    made_.push_back(entry.path);
    if (auto written = sys::write_all(file.get(), entry.data); !written) return while_doing(shown(entry.path), written.error());
    if (::fchmod(file.get(), entry.mode) != 0) return fail_errno("making " + shown(entry.path));
    return {};
  }

  Place place_;
  std::string draft_name_;
  UniqueFd fd_;
  std::vector<std::string> made_;  // in their order
  bool is_made_ = false;
};

Result<> write_bundle(const report::Bundle& bundle, const std::string& directory) {
  Place place = TRY(open_place(directory));
  const SignalsHeld held;
  Draft draft(std::move(place));
  TRY(draft.make());
  TRY(draft.add({BundleEntry::Kind::kFile, "config.json", 0600, bundle.config}));
  TRY(draft.add({BundleEntry::Kind::kDirectory, report::kBundleRoot, bundle.root_mode, {}}));
  for (BundleEntry entry : bundle.root) {
    entry.path = std::string(report::kBundleRoot) + "/" + entry.path;
    TRY(draft.add(entry));
  }
  if (bundle.setup_gid) TRY(draft.open_to(*bundle.setup_gid));
  return draft.publish();
}

}  // namespace

Result<std::vector<std::string>> emit_bundle(const plan::Plan& plan, const BundleRequest& request) {
  const report::BundleFacts facts = TRY(gather_facts(plan, request.uid_range));
  report::Bundle bundle = TRY(report::to_bundle(plan, facts));
  if (auto written = write_bundle(bundle, request.directory); !written)
    return while_doing("--emit-bundle " + shown(request.directory), written.error());
  return std::move(bundle.not_expressed);
}

}  // namespace clawrun::engine
