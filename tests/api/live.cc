// Sandboxes that run, by their handles: streams, deadlines, signals, files, and hosts with odd habits. One TAP line each.
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <clawrun/clawrun.hpp>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

namespace {

using clawrun::Running;
using namespace std::chrono_literals;
namespace stream = clawrun::stream;

int number = 0;
int failed = 0;

void check(bool good, const std::string& what) {
  std::printf("%sok %d - %s\n", good ? "" : "not ", ++number, what.c_str());
  if (!good) ++failed;
}

struct Setting {
  const char* name;
  const char* value;
};

clawrun::Expected<Running> try_start(const std::string& script, const std::array<clawrun_stream, 3>& streams,
                                     const std::vector<Setting>& settings = {}) {
  clawrun::Sandbox spec;
  for (const Setting& setting : settings)
    if (auto set = spec.set(setting.name, setting.value); !set) return std::unexpected(set.error());
  if (auto set = spec.command({"/bin/sh", "-c", script}); !set) return std::unexpected(set.error());
  return spec.spawn(streams);
}

Running start(const std::string& script, const std::array<clawrun_stream, 3>& streams,
              const std::vector<Setting>& settings = {}) {
  auto started = try_start(script, streams, settings);
  if (!started) {
    std::printf("Bail out! %s\n", started.error().message.c_str());
    std::exit(1);
  }
  return std::move(*started);
}

constexpr std::array<clawrun_stream, 3> kCaptured{stream::kNull, stream::kCapture, stream::kCapture};
constexpr std::array<clawrun_stream, 3> kSilent{stream::kNull, stream::kNull, stream::kNull};

bool ends(Running& running) {
  const auto ended = running.wait(30s);
  return ended && *ended;
}

std::size_t count_of(const char* directory) {
  std::size_t count = 0;
  DIR* opened = ::opendir(directory);
  while (opened != nullptr && ::readdir(opened) != nullptr) ++count;
  if (opened != nullptr) ::closedir(opened);
  return count;
}

void streams() {
  Running captured = start("echo out; echo err >&2; read line || echo no input", kCaptured);
  check(ends(captured) && captured.output(1) == "out\nno input\n" && captured.output(2) == "err\n",
        "output is captured, input is null");
  check(captured.output_lost(1) == 0 && captured.pidfd() == -1 && captured.process().value_or(false),
        "after the end there is no pidfd, and process() says so again");

  Running limited = start("head -c 300000 /dev/zero; exit 3", kCaptured, {{"max-output", "1000"}});
  check(ends(limited) && limited.output(1).size() == 1000 && limited.output_lost(1) == 299000 && limited.outcome().exit_code == 3,
        "a capture is cut off at max-output, and the command goes on");
  check(limited.outcome().json.find("\"stdout_lost_bytes\":299000") != std::string::npos, "the report says how much was lost");

  Running piped = start("cat; echo end", {stream::kPipe, stream::kPipe, stream::kNull});
  const int input = piped.take_stream(0);
  const int output = piped.take_stream(1);
  check(piped.stream(0) == -1 && (::fcntl(output, F_GETFL) & O_NONBLOCK) != 0,
        "a taken pipe is the caller's, and does not block");
  check(::write(input, "hello\n", 6) == 6 && ::close(input) == 0 && ends(piped), "closing the input ends it");
  char buffer[64] = {};
  check(::read(output, buffer, sizeof buffer) == 10 && std::strcmp(buffer, "hello\nend\n") == 0,
        "a pipe can be read after the end");
  ::close(output);

  Running bounded = start("head -c 5000 /dev/zero", {stream::kNull, stream::kPipe, stream::kNull}, {{"max-output", "100"}});
  const int cut = bounded.take_stream(1);
  char many[5000];
  check(ends(bounded) && ::read(cut, many, sizeof many) == 100 && ::read(cut, many, sizeof many) == 0 &&
            bounded.output_lost(1) == 4900,
        "a pipe with max-output gives so much and its end");
  ::close(cut);

  int ends_of_pipe[2];
  check(::pipe2(ends_of_pipe, O_CLOEXEC) == 0, "a pipe of the host's");
  Running given = start("echo given; echo both >&2",
                        {stream::kNull, stream::descriptor(ends_of_pipe[1]), stream::descriptor(ends_of_pipe[1])});
  check(ends(given) && ::read(ends_of_pipe[0], buffer, sizeof buffer) == 11, "a descriptor of the host's can be both outputs");
  ::close(ends_of_pipe[0]);
  ::close(ends_of_pipe[1]);

  const int directory = ::open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  check(!try_start("true", {stream::descriptor(directory), stream::kNull, stream::kNull}), "a directory is refused as a stream");
  ::close(directory);
  check(!try_start("true", {stream::descriptor(9999), stream::kNull, stream::kNull}), "a closed descriptor is refused");
  check(!try_start("true", {stream::kCapture, stream::kNull, stream::kNull}), "input cannot be captured");
  check(!try_start("true", {clawrun_stream{77, 0}, stream::kNull, stream::kNull}), "an unknown mode is refused");
}

void ending() {
  Running asleep = start("sleep 60", kSilent);
  const auto early = asleep.wait(50ms);
  check(early && !*early && !asleep.has_ended(), "wait() comes back when its time is over");
  check(!asleep.kill(SIGSTOP), "a signal that is not passed on is refused");
  check(asleep.kill(SIGTERM).has_value() && ends(asleep) && asleep.outcome().signal == SIGTERM, "TERM reaches the command");
  check(asleep.kill().has_value(), "killing what has ended is no error");

  Running killed = start("trap '' TERM; sleep 60", kSilent);
  std::thread killer([&] {
    std::this_thread::sleep_for(100ms);
    (void)killed.kill();
  });
  check(ends(killed) && killed.outcome().status == CLAWRUN_SIGNALED && killed.outcome().signal == SIGKILL,
        "KILL from another thread ends one that is waited for");
  killer.join();

  Running late = start("sleep 60", kSilent, {{"timeout", "200ms"}});
  check(ends(late) && late.outcome().status == CLAWRUN_TIMEOUT && late.outcome().exit_code == 124, "the deadline ends it");
  Running stubborn = start("trap '' TERM; while :; do sleep 1; done", kSilent, {{"timeout", "200ms"}, {"grace", "100ms"}});
  check(ends(stubborn) && stubborn.outcome().status == CLAWRUN_TIMEOUT, "and what ignores TERM too");

  clawrun::Expected<Running> handed_over = std::unexpected(clawrun::LibraryError{});
  std::thread([&] { handed_over = try_start("sleep 0.3; exit 5", kSilent); }).join();
  check(handed_over && ends(*handed_over) && handed_over->outcome().exit_code == 5, "it outlives the thread that started it");

  // The host is stuck: it calls nothing.
  Running forgotten = start("trap '' TERM; while :; do sleep 1; done", kSilent, {{"timeout", "200ms"}, {"grace", "100ms"}});
  pollfd end{forgotten.pidfd(), POLLIN, 0};
  check(::poll(&end, 1, 10'000) == 1, "where the host is stuck the sandbox ends at its deadline all the same");
  check(ends(forgotten) && forgotten.outcome().status == CLAWRUN_TIMEOUT, "which is a timeout");
  Running in_time = start("exit 5", kSilent, {{"timeout", "300ms"}, {"grace", "0s"}});
  std::this_thread::sleep_for(600ms);
  check(ends(in_time) && in_time.outcome().status == CLAWRUN_EXITED && in_time.outcome().exit_code == 5,
        "what ended in time was in time, even where nobody looked before the deadline");

  Running event = start("exit 4", kSilent);
  pollfd readable{event.fd(), POLLIN, 0};
  check(::poll(&readable, 1, 10'000) == 1 && event.process().value_or(false) && event.outcome().exit_code == 4,
        "its descriptor is readable at the end");
}

// The habits of hosts that were written before they had sandboxes.
void habits() {
  ::signal(SIGCHLD, SIG_IGN);
  Running ignored = start("exit 6", kSilent);
  check(ends(ignored) && ignored.outcome().exit_code == 6, "a host that ignores SIGCHLD learns the exit code");
  { Running dropped = start("sleep 60", kSilent); }
  check(true, "and can drop a running sandbox");
  ::signal(SIGCHLD, SIG_DFL);
  Running stolen = start("exit 7", kSilent);
  pollfd end{stolen.pidfd(), POLLIN, 0};
  ::poll(&end, 1, 10'000);
  int status = 0;
  check(::waitpid(-1, &status, 0) > 0, "a host that waits for any child gets the sandbox's first process");
  check(ends(stolen) && stolen.outcome().exit_code == 7, "and the exit code is there all the same");
  const pid_t own = ::fork();
  if (own == 0) ::_exit(9);
  Running beside = start("exit 8", kSilent);
  check(ends(beside) && ::waitpid(own, &status, 0) == own && WEXITSTATUS(status) == 9, "a child of the host's own is left to it");
}

void leaks() {
  const auto once = [] {
    Running running = start("exit 0", kCaptured, {{"timeout", "60s"}});
    if (!ends(running)) ++failed;
  };
  once();
  const std::size_t before = count_of("/proc/self/fd");
  for (int i = 0; i < 60; ++i) once();
  for (int i = 0; i < 20; ++i) start("sleep 60", kCaptured, {{"timeout", "60s"}});
  for (int i = 0; i < 20; ++i) (void)try_start("true", {stream::kPipe, stream::kPipe, clawrun_stream{77, 0}});
  check(count_of("/proc/self/fd") == before, "no descriptor is left by those that ended, were dropped, or never started");
  check(::waitpid(-1, nullptr, WNOHANG | __WALL) == -1 && errno == ECHILD, "and no process");
}

void large_host() {
  std::vector<char> memory(std::size_t{1} << 30U, 'x');
  Running running = start("echo small", kCaptured);
  check(ends(running) && running.output(1) == "small\n" && memory.back() == 'x', "a host of 1 GiB starts one");
}

}  // namespace

int main() {
  check(::waitpid(-1, nullptr, WNOHANG) == -1, "this host has no child");
  streams();
  ending();
  habits();
  leaks();
  large_host();
  std::printf("1..%d\n", number);
  return failed == 0 ? 0 : 1;
}
