#include <fcntl.h>
#include <linux/securebits.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <poll.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "hostile.h"

namespace hostile {

// exchange A B: swaps two names without a pause until it is killed, or its parent is gone.
int exchange(Words words) {
  if (words.size() != 2) return 64;
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::syscall(SYS_renameat2, AT_FDCWD, words[0], AT_FDCWD, words[1], 2) != 0) return 1;
  say("swapping");
  for (;;) ::syscall(SYS_renameat2, AT_FDCWD, words[0], AT_FDCWD, words[1], 2 /* RENAME_EXCHANGE */);
}

// watch PATH… -- COMMAND…: runs the command and says what was opened, made, changed or removed at the paths meanwhile.
int watch(Words words) {
  const int events = ::inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
  std::vector<std::string> names(1);
  std::size_t at = 0;
  for (; at < words.size() && std::strcmp(words[at], "--") != 0; ++at) {
    if (::inotify_add_watch(events, words[at], IN_OPEN | IN_CREATE | IN_MODIFY | IN_DELETE | IN_MOVE | IN_ATTRIB) < 0) return 64;
    names.emplace_back(words[at]);
  }
  if (at + 1 >= words.size()) return 64;
  const pid_t child = ::fork();
  if (child == 0) {
    ::execv(words[at + 1], words.data() + at + 1);
    ::_exit(127);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  alignas(inotify_event) char buffer[65536];
  ssize_t size = 0;
  while ((size = ::read(events, buffer, sizeof buffer)) > 0) {
    for (ssize_t offset = 0; offset < size;) {
      const auto* event = reinterpret_cast<const inotify_event*>(buffer + offset);
      offset += static_cast<ssize_t>(sizeof *event + event->len);
      const auto index = static_cast<std::size_t>(event->wd);
      say("EVENT " + std::to_string(event->mask) + " " + (index < names.size() ? names[index] : "?") + (event->len > 0 ? std::string("/") + event->name : ""));
    }
  }
  say("status " + std::to_string(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status)));
  return 0;
}

// strange-start HOW -- COMMAND…: runs the command as a caller with odd habits would.
int strange_start(Words words) {
  std::size_t at = 0;
  for (; at < words.size() && std::strcmp(words[at], "--") != 0; ++at) {
    const std::string_view how = words[at];
    if (how.starts_with("close=")) ::close(std::atoi(words[at] + 6));
    if (how == "ignore-chld") ::signal(SIGCHLD, SIG_IGN);
    if (how == "ignore-all")
      for (int signal = 1; signal <= 64; ++signal) ::signal(signal, SIG_IGN);
    if (how == "block-all") {
      sigset_t all;
      ::sigfillset(&all);
      ::sigprocmask(SIG_SETMASK, &all, nullptr);
    }
    // Descriptors without close-on-exec, as a careless service leaves them: "/", a secret file, a socket.
    if (how.starts_with("leak=")) {
      const int root = ::open("/", O_RDONLY | O_DIRECTORY);
      const int file = ::open(words[at] + 5, O_RDWR);
      const int socket = ::socket(AF_UNIX, SOCK_STREAM, 0);
      for (int fd = 100; fd < 400; fd += 3) {
        ::dup2(root, fd);
        ::dup2(file, fd + 1);
        ::dup2(socket, fd + 2);
      }
    }
    if (how == "no-cwd") {
      char name[] = "/tmp/clawrun-gone.XXXXXX";
      if (::mkdtemp(name) == nullptr || ::chdir(name) != 0 || ::rmdir(name) != 0) return 64;
    }
    if (how.starts_with("chroot=") && (::chroot(words[at] + 7) != 0 || ::chdir("/") != 0)) return 64;
  }
  if (at + 1 >= words.size()) return 64;
  ::execv(words[at + 1], words.data() + at + 1);
  return 127;
}

}  // namespace hostile
