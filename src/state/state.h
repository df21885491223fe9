// The sandboxes that are running: one small locked file for each, on a tmpfs, for `list`, `stats`, `update`, `pause` and `gc`.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "cgroup/location.h"

namespace clawrun::state {

// A process beyond doubt: pids are used again. Start times are not (proc_pid_stat(5), field 22), but for two processes within one
// tick, which is 10 ms; the inode of its pidfds is no other's until the machine starts again.
struct Process {
  pid_t pid = 0;
  std::uint64_t start_ticks = 0;  // 0: not known yet; then only the lock of its record tells whether it lives
  std::uint64_t pidfd_inode = 0;  // 0: there is none to be had, before Linux 6.9 or without pidfds
  bool operator==(const Process&) const = default;
};

struct Record {
  std::string id;
  Process supervisor;
  Process first;                     // pid 1 of the sandbox, as the host counts; pid 0 while it is being set up
  std::uint32_t owner = 0;           // uid; when read, that of the file
  std::uint64_t created_ms = 0;      // since the epoch
  std::vector<std::string> command;  // create() and update() cut it: kLongestCommandBytes
  std::string rootfs;
  cgroup::Location location;
};

// Of a longer command the record has the beginning, and "..." as its last argument.
inline constexpr std::size_t kLongestCommandBytes = 4096;

// The start time of a live process; kNotFound where there is none. A zombie is none: it holds nothing any more.
Result<Process> identify(pid_t pid);

// False where it is certainly gone, or not known.
bool is_alive(const Process& process);

// spec::is_sandbox_name().
Result<> check_id(const std::string& id);

// This process's own record. It appears at once whole and locked (O_TMPFILE, linkat(2)), and the lock ends with the process,
// whatever ends it.
class Entry {
 public:
  // A name that is taken by a live sandbox is an error of kind kInvalid that names it; a dead one's is swept first.
  static Result<Entry> create(const Record& record);
  Entry() = default;
  Entry(Entry&&) = default;
  Entry& operator=(Entry&& other) noexcept;
  ~Entry() { remove(); }

  // In place; readers see the old record or the new one. The id must stay.
  Result<> update(const Record& record);
  void remove();  // nothing happens the second time
  void leave();   // without removing: what it names could not be ended, and sweep() is to try again

 private:
  friend class Store;
  UniqueFd directory_;
  std::string directory_path_;
  UniqueFd file_;
  std::string name_;
};

struct Listing {
  std::vector<Record> records;        // of sandboxes that run, the oldest first
  std::vector<std::string> problems;  // files that cannot be believed, each in one line
};

// The caller's sandboxes: /run/clawrun/sandboxes for root, $XDG_RUNTIME_DIR/clawrun/sandboxes for others; state/directory.h has
// the whole rule. Only files of the caller's own, in a directory that nobody else can write to, are believed.
Result<Listing> list();

// By the id, or by a beginning that only one has. kNotFound: with the nearest id.
Result<Record> find(const std::string& id);

struct Swept {
  std::vector<std::string> ids;
  std::vector<std::string> problems;  // what could not be removed, and why
};

// Ends what dead supervisors left: a record is stale when its lock is free and no process has its supervisor's pid and start
// time, where it names one. Its cgroup is killed and removed, then the record. Looks at `at_most` records, other ones each time,
// so that a start among many sandboxes costs no more than one among few; where there are none it costs three open and getdents64.
// Any number of sweeps may run at the same time.
Swept sweep(std::size_t at_most = SIZE_MAX);

}  // namespace clawrun::state
