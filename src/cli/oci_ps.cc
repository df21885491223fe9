#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "base/text.h"
#include "cli/oci_functions.h"
#include "cli/output.h"
#include "report/containers.h"
#include "sys/sys.h"

namespace clawrun::cli {

namespace {

constexpr std::size_t kLargestOutput = std::size_t{64} << 20U;

Result<std::string> read_all(int fd) {
  std::string text;
  char buffer[16384];
  for (;;) {
    const ssize_t size = ::read(fd, buffer, sizeof buffer);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return fail_errno("reading the output of ps");
    if (size == 0) return text;
    text.append(buffer, static_cast<std::size_t>(size));
    if (text.size() > kLargestOutput) return fail(ErrorKind::kInvalid, "ps prints too much");
  }
}

class Preparations {
 public:
  Preparations() {
    ::posix_spawn_file_actions_init(&actions_);
    ::posix_spawnattr_init(&attributes_);
  }
  Preparations(const Preparations&) = delete;
  Preparations& operator=(const Preparations&) = delete;
  ~Preparations() {
    ::posix_spawnattr_destroy(&attributes_);
    ::posix_spawn_file_actions_destroy(&actions_);
  }

  // The host's ps with the caller's environment, nothing on its input, one pipe for all that it says; of signals what a program
  // of the shell's gets, since this one ignores some.
  Result<pid_t> start(char* const* argv, int output) {
    sigset_t defaults;
    sigemptyset(&defaults);
    for (const int signal : {SIGPIPE, SIGXFSZ}) sigaddset(&defaults, signal);
    ::posix_spawnattr_setsigdefault(&attributes_, &defaults);
    ::posix_spawnattr_setflags(&attributes_, POSIX_SPAWN_SETSIGDEF);
    ::posix_spawn_file_actions_addopen(&actions_, 0, "/dev/null", O_RDONLY, 0);
    ::posix_spawn_file_actions_adddup2(&actions_, output, 1);
    ::posix_spawn_file_actions_adddup2(&actions_, output, 2);
    ::posix_spawn_file_actions_addclosefrom_np(&actions_, 3);
    pid_t pid = -1;
    // Without PATH, which Podman does not always pass on, the C library's own is searched.
    if (const int error = ::posix_spawnp(&pid, argv[0], &actions_, &attributes_, argv, environ); error != 0)
      return fail_errno("starting ps", error);
    return pid;
  }

 private:
  posix_spawn_file_actions_t actions_{};
  posix_spawnattr_t attributes_{};
};

// ps(1) of the host, which sees all processes. Nothing of the container is executed or read: CVE-2022-1227.
Result<std::string> run_ps(std::vector<std::string> args) {
  std::vector<char*> argv;
  for (std::string& arg : args) argv.push_back(arg.data());
  argv.push_back(nullptr);
  sys::Ends ends = TRY(sys::pipe());
  const pid_t pid = TRY(Preparations().start(argv.data(), ends.second.get()));
  ends.second.reset();
  auto output = read_all(ends.first.get());
  ends.first.reset();
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0)
    if (errno != EINTR) return fail_errno("waiting for ps");
  if (output && !(WIFEXITED(status) && WEXITSTATUS(status) == 0)) return fail(ErrorKind::kInvalid, "ps failed: " + *output);
  return output;
}

}  // namespace

Result<int> oci_ps(const engine::Runtime& runtime, const OciWords& words) {
  const OciFormat format = TRY(format_option(words));
  const std::vector<pid_t> pids = TRY(engine::processes(runtime, words.operands.front()));
  if (format == OciFormat::kJson) {
    TRY(write_out(report::pids_json(pids)));
    return 0;
  }
  std::vector<std::string> args = {"ps"};
  args.insert(args.end(), words.operands.begin() + 1, words.operands.end());
  if (args.size() == 1) args.emplace_back("-ef");
  const std::string output = TRY(run_ps(std::move(args)));
  const std::string lines = TRY(report::ps_lines(output, pids));
  TRY(write_out(lines));
  return 0;
}

}  // namespace clawrun::cli
