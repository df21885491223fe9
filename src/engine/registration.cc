#include "engine/registration.h"

#include <sys/random.h>
#include <unistd.h>

namespace clawrun::engine {

std::string new_id() {
  unsigned char bytes[6] = {};
  // Only an identifier; on the rare failure of getrandom(2) it is less unique, and nothing else.
  if (::getrandom(bytes, sizeof bytes, 0) < 0) bytes[0] = 1;
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string id;
  for (const unsigned char byte : bytes) {
    id += kHex[byte >> 4U];
    id += kHex[byte & 15U];
  }
  return id;
}

Result<Registration> Registration::open(const plan::Plan& plan, const std::string& id,
                                        std::chrono::system_clock::time_point started_at) {
  Registration opened;
  state::Record& record = opened.record_;
  record.id = id;
  record.owner = ::geteuid();
  record.created_ms =
      static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(started_at.time_since_epoch()).count());
  record.command = plan.argv;
  record.rootfs = plan.rootfs;
  if (plan.cgroup) record.location = cgroup::Group::locate(plan.cgroup->place, id);
  record.supervisor.pid = ::getpid();
  if (plan.cgroup || !plan.name.empty()) opened.entry_ = TRY(state::Entry::create(record));
  return opened;
}

void Registration::note_started(const launch::Sandbox& sandbox) {
  if (auto self = state::identify(record_.supervisor.pid)) record_.supervisor = *self;
  if (auto first = state::identify(sandbox.pid)) record_.first = *first;
  if (!sandbox.group.empty()) record_.location = sandbox.group.location();
  if (entry_)
    (void)entry_->update(record_);
  else if (auto entry = state::Entry::create(record_))
    entry_ = std::move(*entry);
}

void Registration::note_command(const std::vector<std::string>& command) {
  record_.command = command;
  if (entry_) (void)entry_->update(record_);
}

void Registration::remove() {
  if (entry_) entry_->remove();
}

void Registration::leave() {
  if (entry_) entry_->leave();
}

}  // namespace clawrun::engine
