#include "state/store.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <ctime>
#include <string_view>
#include <thread>
#include <utility>

#include "base/text.h"
#include "state/draft.h"
#include "state/leftovers.h"
#include "state/record.h"
#include "sys/sys.h"

namespace clawrun::state {

namespace {

using Clock = std::chrono::steady_clock;

// Another process that sweeps the name that is wanted: killing and removing a cgroup is over by then.
constexpr std::chrono::seconds kSweepingTime{5};
// Drafts are linked within microseconds; what is older has lost its maker.
constexpr std::time_t kDraftAge_s = 60;

// How often a record that is being changed is read again, a millisecond apart.
constexpr int kReadings = 200;
// So much more than it needs has a new record, for what is known only when the sandbox has started.
constexpr std::size_t kReserveBytes = 512;

bool is_linked(int fd) {
  struct stat status {};
  return ::fstat(fd, &status) == 0 && status.st_nlink > 0;
}

std::string when(std::uint64_t created_ms) {
  const auto seconds = static_cast<std::time_t>(created_ms / 1000);
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S UTC", &parts);
  return text;
}

Failure taken(const Record& record) {
  return fail(ErrorKind::kInvalid, "the name " + quoted(record.id) + " is taken by a running sandbox (pid " +
                                       std::to_string(record.supervisor.pid) + ", since " + when(record.created_ms) +
                                       "); choose another --name");
}

}  // namespace

Result<Store::Names> Store::names() const {
  Names found;
  if (!directory_.valid()) return found;
  // glibc's readdir(3) allocates 32 KiB for what is most often two names.
  alignas(dirent64) char buffer[8192];
  ::lseek(directory_.get(), 0, SEEK_SET);
  for (;;) {
    const long size = ::syscall(SYS_getdents64, directory_.get(), buffer, sizeof buffer);
    if (size < 0) return fail_errno("reading the directory " + shown(path_));
    if (size == 0) return found;
    for (long at = 0; at < size;) {
      const auto* entry = reinterpret_cast<const dirent64*>(buffer + at);
      const std::string_view name = entry->d_name;
      at += entry->d_reclen;
      if (name == "." || name == "..") continue;
      (name.front() == kDraftMark ? found.drafts : found.files).emplace_back(name);
    }
  }
}

// kNotFound: it has gone meanwhile.
Result<UniqueFd> Store::open_file(const std::string& name) const {
  const auto bad = [](std::string_view why) { return fail(ErrorKind::kInvalid, std::string(why)); };
  const auto failed = [&](std::string_view doing) {
    if (errno == ENOENT) return fail(ErrorKind::kNotFound, "it is gone");
    return bad(fail_errno(doing).error().message);
  };
  if (!check_id(name)) return bad("its name is no name of a sandbox");
  struct stat status {};
  // Looked at before it is opened: opening a device does things.
  if (::fstatat(directory_.get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) return failed("looking at it");
  if (!S_ISREG(status.st_mode)) return bad("it is no regular file");
  UniqueFd fd(::openat(directory_.get(), name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  if (!fd.valid() || ::fstat(fd.get(), &status) != 0) return failed("opening it");
  if (!S_ISREG(status.st_mode)) return bad("it is no regular file");
  if (status.st_uid != uid_) return bad("it belongs to uid " + std::to_string(status.st_uid));
  if ((status.st_mode & (S_IWGRP | S_IWOTH)) != 0) return bad("others can write to it");
  return fd;
}

Result<Store::File> Store::open(const std::string& name, Locked locked) const {
  const auto broken = [&](const Error& error) {
    if (error.kind == ErrorKind::kNotFound) return Failure(error);
    return fail(ErrorKind::kInvalid, shown(path_ + "/" + name) + " is not the record of a sandbox: " + error.message +
                                         "; remove it if no sandbox of that name is running");
  };
  File file;
  auto fd = open_file(name);
  if (!fd) return broken(fd.error());
  file.fd = std::move(*fd);
  if (locked == Locked::kSkip && ::flock(file.fd.get(), LOCK_EX | LOCK_NB) != 0)
    return fail(ErrorKind::kNotFound, "it is locked");
  auto record = read_record(file.fd.get());
  // Its owner has it locked for as long as it lives, and may be changing it just now.
  for (int i = 0; i < kReadings && !record && ::flock(file.fd.get(), LOCK_SH | LOCK_NB) != 0; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    record = read_record(file.fd.get());
  }
  if (!record) {
    // It was changed for the last time between the look at it and the look at its lock: it is whole now, or gone.
    struct stat status {};
    if (::fstat(file.fd.get(), &status) == 0 && status.st_nlink == 0) return fail(ErrorKind::kNotFound, "it is gone");
    record = read_record(file.fd.get());
  }
  if (!record) return broken(record.error());
  if (record->id != name) return broken(Error{ErrorKind::kInvalid, 0, "it is that of " + quoted(record->id)});
  file.record = std::move(*record);
  file.record.owner = uid_;
  return file;
}

Result<Entry> Store::create(const Record& record) && {
  std::string text = TRY(to_text(record));
  if (text.size() + kReserveBytes <= kMaxRecordBytes) text.insert(text.size() - 1, kReserveBytes, ' ');
  const auto until = Clock::now() + kSweepingTime;
  const std::string path = shown(path_ + "/" + record.id);
  for (const DraftKind kind : {DraftKind::kUnnamed, DraftKind::kNamed}) {
    auto draft = Draft::write(directory_.get(), text, kind);
    if (!draft) return while_doing("recording the sandbox in " + shown(path_), draft.error());
    int error = draft->publish(record.id);
    while (error == EEXIST) {
      TRY(make_room(record.id, until));
      error = draft->publish(record.id);
    }
    if (error != 0 && kind == DraftKind::kUnnamed) continue;  // no /proc to link it by
    if (error != 0) return fail_errno("recording the sandbox as " + path, error);
    Entry entry;
    entry.directory_ = std::move(directory_);
    entry.directory_path_ = path_;
    entry.file_ = draft->take_file();
    entry.name_ = record.id;
    return entry;
  }
  return fail(ErrorKind::kInternal, "no kind of draft was tried");
}

// Success: the name may be free now.
Result<> Store::make_room(const std::string& name, Clock::time_point until) const {
  auto file = open(name, Locked::kRead);
  if (!file && file.error().kind == ErrorKind::kNotFound) return {};
  if (!file) return while_doing("the name " + quoted(name) + " is taken", file.error());
  if (is_alive(file->record.supervisor)) return taken(file->record);
  if (::flock(file->fd.get(), LOCK_EX | LOCK_NB) == 0) return sweep_locked(*file, name);
  // Somebody sweeps it, or its supervisor counts pids in another namespace.
  if (Clock::now() > until) return taken(file->record);
  std::this_thread::sleep_for(std::chrono::milliseconds(5));
  return {};
}

Result<Listing> Store::list() const {
  Listing listing;
  const Names found = TRY(names());
  for (const std::string& name : found.files) {
    auto file = open(name, Locked::kRead);
    if (!file && file.error().kind == ErrorKind::kNotFound) continue;
    if (!file) {
      listing.problems.push_back(file.error().message);
      continue;
    }
    // A shared lock: two that list do not keep each other from it.
    const bool stale = !is_alive(file->record.supervisor) && ::flock(file->fd.get(), LOCK_SH | LOCK_NB) == 0;
    if (!stale && is_linked(file->fd.get())) listing.records.push_back(std::move(file->record));
  }
  std::ranges::sort(listing.records, [](const Record& a, const Record& b) {
    return a.created_ms != b.created_ms ? a.created_ms < b.created_ms : a.id < b.id;
  });
  return listing;
}

Result<Record> Store::find(const std::string& id) const {
  Listing listing = TRY(list());
  std::vector<std::string_view> ids;
  std::vector<std::string> meant;
  for (Record& record : listing.records) {
    if (record.id == id) return std::move(record);
    ids.push_back(record.id);
    if (!id.empty() && record.id.starts_with(id)) meant.push_back(record.id);
  }
  if (meant.size() > 1)
    return fail(ErrorKind::kInvalid, quoted(id) + " is the beginning of more than one sandbox: " + join(meant, ", "));
  for (Record& record : listing.records)
    if (!meant.empty() && record.id == meant.front()) return std::move(record);
  const std::string hint = did_you_mean(id, ids);
  return fail(ErrorKind::kNotFound,
              "there is no running sandbox " + quoted(id) + (hint.empty() ? ";" : hint) + " clawrun list shows those there are");
}

// With the lock held: no other sweep has it, and its supervisor has not.
Result<> Store::sweep_locked(const File& file, const std::string& name) const {
  if (!is_linked(file.fd.get())) return {};  // swept by another while the lock was waited for
  if (auto ended = end_leftovers(file.record); !ended)
    return while_doing("clearing away what sandbox " + quoted(name) + " has left", ended.error());
  if (::unlinkat(directory_.get(), name.c_str(), 0) != 0) return fail_errno("removing " + shown(path_ + "/" + name));
  return {};
}

// True where something was swept.
Result<bool> Store::sweep_one(const std::string& name) const {
  auto file = open(name, Locked::kSkip);
  if (!file && file.error().kind == ErrorKind::kNotFound) return false;
  if (!file) return std::unexpected(std::move(file).error());
  if (is_alive(file->record.supervisor) || !is_linked(file->fd.get())) return false;
  TRY(sweep_locked(*file, name));
  return true;
}

void Store::sweep_draft(const std::string& name) const {
  const UniqueFd fd(::openat(directory_.get(), name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  struct stat status {};
  if (!fd.valid() || ::fstat(fd.get(), &status) != 0 || !S_ISREG(status.st_mode) || status.st_uid != uid_) return;
  if (::time(nullptr) - status.st_ctime > kDraftAge_s && ::flock(fd.get(), LOCK_EX | LOCK_NB) == 0)
    ::unlinkat(directory_.get(), name.c_str(), 0);
}

Swept Store::sweep(std::size_t at_most) const {
  Swept swept;
  const auto found = names();
  if (!found) {
    swept.problems.push_back(found.error().message);
    return swept;
  }
  for (const std::string& name : found->drafts) sweep_draft(name);
  const std::size_t count = found->files.size();
  const std::size_t first = count <= at_most ? 0 : sys::monotonic_ns() / 1000 % count;
  for (std::size_t i = 0; i < std::min(count, at_most); ++i) {
    const std::string& name = found->files[(first + i) % count];
    const auto done = sweep_one(name);
    if (!done) swept.problems.push_back(done.error().message);
    if (done && *done) swept.ids.push_back(name);
  }
  return swept;
}

}  // namespace clawrun::state
