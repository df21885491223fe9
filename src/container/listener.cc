#include "container/listener.h"

#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>

#include "base/text.h"
#include "oci/annotations.h"
#include "sys/sys.h"

namespace clawrun::container {

namespace {

std::string json_string(const std::string& text) {
  std::string quoted = "\"";
  constexpr std::string_view kHex = "0123456789abcdef";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\')
      quoted += {'\\', c};
    else if (byte < 0x20)
      quoted += std::string("\\u00") + kHex[byte >> 4U] + kHex[byte & 15U];
    else
      quoted += c;
  }
  return quoted + "\"";
}

Result<UniqueFd> connect_to(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path)
    return fail(ErrorKind::kInvalid, "linux.seccomp.listenerPath: longer than a socket's name may be");
  std::memcpy(address.sun_path, path.data(), path.size());
  UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket.valid()) return fail_errno("making a socket");
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return fail_errno("connecting to linux.seccomp.listenerPath " + quoted(path));
  return socket;
}

}  // namespace

Result<UniqueFd> take_listener(int pidfd, int number) {
  UniqueFd listener(static_cast<int>(::syscall(SYS_pidfd_getfd, pidfd, number, 0)));
  if (!listener.valid()) return fail_errno("taking the seccomp listener of the container's process");
  return listener;
}

Result<> send_listener(const oci::Config& config, const UniqueFd& listener, pid_t pid, const std::string& state) {
  // crun's annotation, where the member is missing.
  const oci::Annotated annotated = TRY(oci::annotations_of(config));
  std::string path = config.linux.seccomp ? config.linux.seccomp->listener_path : "";
  if (path.empty()) path = annotated.seccomp_receiver;
  if (path.empty()) return fail(ErrorKind::kInvalid, "linux.seccomp.listenerPath: needed for SCMP_ACT_NOTIFY");
  const UniqueFd socket = TRY(connect_to(path));
  const std::string text = R"({"ociVersion":)" + json_string(config.oci_version) + R"(,"fds":["seccompFd"],"pid":)" +
                           std::to_string(pid) + R"(,"metadata":)" + json_string(config.linux.seccomp->listener_metadata) +
                           (state.empty() ? "" : R"(,"state":)" + state) + "}";
  if (auto sent = sys::send_descriptor(socket.get(), listener.get(), text); !sent)
    return while_doing("the seccomp listener", sent.error());
  return {};
}

}  // namespace clawrun::container
