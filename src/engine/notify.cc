#include "engine/notify.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <cstring>

#include "base/text.h"
#include "sys/sys.h"

namespace clawrun::engine {

namespace {

constexpr const char* kDirectory = "/notify";
constexpr const char* kName = "notify.sock";
constexpr const char* kInside = "/run/notify";
constexpr int kBarrierTime_ms = 5000;

struct Address {
  sockaddr_un name{};
  socklen_t size = 0;
};

// "@name" is abstract: unix(7). Longer paths than a name takes are reached by the descriptor of their directory.
Result<Address> address_of(const std::string& path) {
  Address address;
  address.name.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.name.sun_path) return fail(ErrorKind::kInvalid, "the path of the notify socket is too long");
  std::memcpy(address.name.sun_path, path.data(), path.size());
  address.size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size() + (path.starts_with('@') ? 0 : 1));
  if (path.starts_with('@')) address.name.sun_path[0] = '\0';
  return address;
}

Result<UniqueFd> connect_to_manager() {
  const Address address = TRY(address_of(manager_socket()));
  UniqueFd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!socket.valid() || ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address.name), address.size) != 0)
    return fail_errno("reaching the service manager at " + quoted(manager_socket()));
  return socket;
}

// Until the manager has read what came before: sd_notify_barrier(3). One that does not know it keeps nobody waiting for ever.
Result<> await_manager(const UniqueFd& manager) {
  sys::Ends ends = TRY(sys::pipe());
  TRY(sys::send_descriptor(manager.get(), ends.second.get(), "BARRIER=1"));
  ends.second.reset();
  pollfd watched{ends.first.get(), 0, 0};
  (void)::poll(&watched, 1, kBarrierTime_ms);
  return {};
}

bool says_ready(std::string_view text) {
  return std::ranges::any_of(split(text, '\n'), [](std::string_view line) { return line == "READY=1"; });
}

}  // namespace

std::string manager_socket() {
  const char* path = ::getenv("NOTIFY_SOCKET");
  return path == nullptr ? "" : path;
}

Result<> offer_notify_socket(const std::string& state_directory, oci::Config& config) {
  if (manager_socket().empty() || !config.process) return {};
  const std::string directory = state_directory + kDirectory;
  if (::mkdir(directory.c_str(), 0755) != 0) return fail_errno("making " + shown(directory));
  ::chmod(directory.c_str(), 0755);
  oci::Mount mount;
  mount.destination = kInside;
  mount.type = "bind";
  mount.source = directory;
  mount.options.flags = MS_BIND | MS_NOSUID | MS_NOEXEC | MS_NODEV | MS_RDONLY;
  config.mounts.push_back(std::move(mount));
  std::erase_if(config.process->env, [](const std::string& variable) { return variable.starts_with("NOTIFY_SOCKET="); });
  config.process->env.push_back(std::string("NOTIFY_SOCKET=") + kInside + "/" + kName);
  return {};
}

Result<UniqueFd> bind_notify_socket(const std::string& state_directory) {
  if (manager_socket().empty()) return UniqueFd();
  const UniqueFd directory(::open((state_directory + kDirectory).c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!directory.valid()) return UniqueFd();
  const std::string path = "/proc/self/fd/" + std::to_string(directory.get()) + "/" + kName;
  const Address address = TRY(address_of(path));
  UniqueFd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket.valid() || ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address.name), address.size) != 0)
    return fail_errno("making the container's notify socket");
  // Whoever the container's user is.
  if (::fchmodat(directory.get(), kName, 0777, 0) != 0) return fail_errno("opening the container's notify socket to it");
  return socket;
}

Result<> pass_readiness_on(const UniqueFd& socket, pid_t pid) {
  if (!socket.valid()) return {};
  const UniqueFd process = TRY(sys::pidfd_open(pid));
  for (;;) {
    pollfd watched[2] = {{socket.get(), POLLIN, 0}, {process.get(), POLLIN, 0}};
    if (::poll(watched, 2, -1) < 0 && errno != EINTR) return fail_errno("waiting for the container to be ready");
    char text[4096];
    const ssize_t size = ::recv(socket.get(), text, sizeof text, MSG_DONTWAIT);
    if (size > 0 && says_ready({text, static_cast<std::size_t>(size)})) {
      const UniqueFd manager = TRY(connect_to_manager());
      const std::string ready = "READY=1\nMAINPID=" + std::to_string(pid);
      if (::send(manager.get(), ready.data(), ready.size(), MSG_NOSIGNAL) < 0) return fail_errno("notifying the service manager");
      return await_manager(manager);
    }
    if (size <= 0 && watched[1].revents != 0) return {};
  }
}

}  // namespace clawrun::engine
