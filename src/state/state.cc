#include "state/state.h"

#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"
#include "state/directory.h"
#include "state/record.h"
#include "state/store.h"

namespace clawrun::state {

namespace {

Result<Store> store_of_caller(Missing missing) {
  Directory directory = TRY(open_directory(missing));
  return Store(std::move(directory.fd), std::move(directory.path), static_cast<std::uint32_t>(::geteuid()));
}

}  // namespace

Entry& Entry::operator=(Entry&& other) noexcept {
  if (this == &other) return *this;
  remove();
  directory_ = std::move(other.directory_);
  directory_path_ = std::move(other.directory_path_);
  file_ = std::move(other.file_);
  name_ = std::move(other.name_);
  return *this;
}

Result<Entry> Entry::create(const Record& record) {
  constexpr int kTries = 4;
  for (int i = 1;; ++i) {
    Store store = TRY(store_of_caller(Missing::kMake));
    auto entry = std::move(store).create(record);
    // The last of other sandboxes may have taken the directory away meanwhile.
    if (entry || entry.error().errno_value != ENOENT || i == kTries) return entry;
  }
}

Result<> Entry::update(const Record& record) {
  if (!file_.valid() || record.id != name_) return fail(ErrorKind::kInternal, "the record of another sandbox is to be changed");
  struct stat status {};
  if (::fstat(file_.get(), &status) != 0) return fail_errno("looking at the record of sandbox " + quoted(name_));
  // In place, and in one write: a new file in place of the old one is flushed to disk where /run is on one (ext4), which takes
  // as long as a start. It may be read meanwhile, hence the checksum.
  const std::string text = TRY(to_text(record, static_cast<std::size_t>(status.st_size)));
  const ssize_t size = ::pwrite(file_.get(), text.data(), text.size(), 0);
  if (size != static_cast<ssize_t>(text.size()))
    return fail_errno("changing the record of sandbox " + quoted(name_), size < 0 ? errno : ENOSPC);
  return {};
}

void Entry::remove() {
  if (!file_.valid()) return;
  struct stat status {};
  // Somebody may have removed the file, and another sandbox may have the name.
  if (::fstat(file_.get(), &status) == 0 && status.st_nlink > 0) ::unlinkat(directory_.get(), name_.c_str(), 0);
  file_.reset();
  directory_.reset();
  remove_spare(directory_path_);
}

void Entry::leave() {
  // This process may live on, as the host of the library: nobody is to take it for the sandbox's supervisor.
  if (auto record = file_.valid() ? read_record(file_.get()) : fail(ErrorKind::kNotFound, ""); record) {
    record->supervisor.start_ticks = 0;
    (void)update(*record);
  }
  file_.reset();
  directory_.reset();
}

Result<Listing> list() {
  const Store store = TRY(store_of_caller(Missing::kLeave));
  return store.list();
}

Result<Record> find(const std::string& id) {
  const Store store = TRY(store_of_caller(Missing::kLeave));
  return store.find(id);
}

Swept sweep(std::size_t at_most) {
  const auto store = store_of_caller(Missing::kLeave);
  if (!store) return Swept{{}, {store.error().message}};
  Swept swept = store->sweep(at_most);
  remove_spare(store->path());
  return swept;
}

}  // namespace clawrun::state
