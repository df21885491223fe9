// The command clawrun.

#include <fcntl.h>
#include <unistd.h>

#include <csignal>
#include <new>

#include "cli/verbs.h"
#include "tables/exit_codes.h"

namespace {

// A descriptor below 3 that is closed would be given to the next thing opened, which then is somebody's stdout.
void open_missing_stdio() {
  for (int fd = 0; fd < 3; ++fd)
    if (::fcntl(fd, F_GETFD) < 0 && ::open("/dev/null", O_RDWR) < 0) ::_exit(clawrun::tables::kExitSetup);
}

}  // namespace

int main(int argc, char** argv) {
  open_missing_stdio();
  // A reader that goes away is an error of write(2), not our death with a sandbox left to its own.
  ::signal(SIGPIPE, SIG_IGN);
  // So is a limit on the size of files: setrlimit(2) RLIMIT_FSIZE
  ::signal(SIGXFSZ, SIG_IGN);
  // A caller that ignores it would have the kernel reap the sandbox before we could read how it ended: waitid(2)
  ::signal(SIGCHLD, SIG_DFL);
  try {
    // Nothing is buffered and nothing is to be undone, so nobody waits for destructors: _exit.
    ::_exit(clawrun::cli::run(std::span<char* const>(argv + 1, argc > 0 ? static_cast<std::size_t>(argc - 1) : 0)));
  } catch (const std::bad_alloc&) {
    static constexpr char kText[] = "clawrun: out of memory\n";
    (void)!::write(2, kText, sizeof kText - 1);
    ::_exit(clawrun::tables::kExitSetup);
  }
}
