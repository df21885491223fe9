// clawrun-systemd: asks systemd for one thing and ends. It is a program of its own because libsystemd brings in five libraries,
// which no start without systemd is to load.
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <string>

#include "cgroup/systemd_protocol.h"
#include "systemd/unit.h"

namespace {

namespace protocol = clawrun::cgroup::systemd_protocol;

constexpr int kCommand = 0;

// systemd decides by the user id; no capability is of use here.
void harden() {
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct none[2]{};
  syscall(SYS_capset, &header, none);
  const rlimit no_core{};
  setrlimit(RLIMIT_CORE, &no_core);
  signal(SIGPIPE, SIG_IGN);
}

void answer(std::string text) {
  text.resize(std::min(text.size(), protocol::kLargestMessage));
  // The command may be gone, and then nobody is to be told.
  if (send(kCommand, text.data(), text.size(), MSG_NOSIGNAL) < 0) _exit(1);
}

bool is_socket_of_command() {
  int type = 0;
  socklen_t size = sizeof type;
  return getsockopt(kCommand, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_SEQPACKET;
}

}  // namespace

int main() {
  if (!is_socket_of_command()) {
    std::fputs("clawrun-systemd is started by clawrun, and for nothing else\n", stderr);
    return 2;
  }
  harden();
  std::string text(protocol::kLargestMessage, '\0');
  const ssize_t size = recv(kCommand, text.data(), text.size(), 0);
  if (size <= 0) return 1;
  text.resize(static_cast<std::size_t>(size));
  const auto request = clawrun::systemd::parse_request(text);
  if (!request) {
    answer("error\t" + clawrun::systemd::failed(protocol::kReading, "", request.error().message).error().message);
    return 1;
  }
  // What hangs in spite of all deadlines ends too.
  alarm(static_cast<unsigned>(request->deadline_ms / 1000) + 5);
  clawrun::systemd::Bus bus(kCommand);
  auto outcome = serve(bus, *request);
  if (outcome)
    answer("ok " + *outcome);
  else
    answer("error\t" + outcome.error().message);
  // Nothing is left to be said to the bus, whose end it sees as well.
  _exit(outcome ? 0 : 1);
}
