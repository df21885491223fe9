// One conversation with clawrun-criu, the helper program that speaks CRIU's RPC.
#pragma once

#include <sys/types.h>

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace clawrun::engine {

// What the helper is to ask CRIU for: criu/protocol.h.
class CriuRequest {
 public:
  explicit CriuRequest(std::string_view verb);

  void option(std::string_view name, std::string_view value);
  void option(std::string_view name, std::uint64_t value);
  // Nothing where it is false, which is CRIU's default.
  void switch_on(std::string_view name, bool wanted);
  void descriptor(std::string_view name, int fd);
  void inherit(std::string_view key, int fd);
  void cgroup_root(std::string_view controllers, std::string_view path);
  void page_server(std::string_view address, unsigned port);

  [[nodiscard]] const std::string& text() const { return text_; }
  [[nodiscard]] const std::vector<int>& descriptors() const { return descriptors_; }

 private:
  std::size_t place_of(int fd);

  std::string text_;
  std::vector<int> descriptors_;
};

struct Notification {
  std::string script;  // "setup-namespaces", "post-restore", "orphan-pts-master", …
  pid_t pid = 0;
  UniqueFd descriptor;  // where it carries one
};

// Where the helper and CRIU live: for a restore, which makes the container's processes, the container's cgroup.
struct CriuPlace {
  int clone_into_cgroup = -1;
  std::vector<int> join_files;
};

class CriuSession {
 public:
  // Finds and starts the helper, which waits for the request.
  static Result<CriuSession> start(const CriuPlace& place);

  CriuSession(CriuSession&& other) noexcept;
  CriuSession& operator=(CriuSession&&) = delete;
  CriuSession(const CriuSession&) = delete;
  // The helper and, with it, CRIU are gone.
  ~CriuSession();

  [[nodiscard]] pid_t pid() const { return pid_; }

  // Until CRIU has answered. `notified` hears what it says meanwhile; where it fails, CRIU is told to stop, and its error is the
  // result. The pid of the restored process, or 0. `log` is CRIU's, whose errors are then in the message.
  using Notified = std::function<Result<>(Notification notification)>;
  Result<pid_t> run(const CriuRequest& request, const std::string& log, const Notified& notified);

 private:
  CriuSession(pid_t pid, UniqueFd socket) : pid_(pid), socket_(std::move(socket)) {}

  pid_t pid_ = -1;
  UniqueFd socket_;
};

}  // namespace clawrun::engine
