// Many sandboxes from many threads of one process, while other threads allocate and fork: api-threads THREADS RUNS.
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <clawrun/clawrun.hpp>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

namespace {

std::atomic<int> failures{0};
std::atomic<bool> done{false};

void complain(const std::string& text) {
  std::fprintf(stderr, "%s\n", text.c_str());
  ++failures;
}

void run_sandboxes(int thread, int runs) {
  for (int i = 0; i < runs; ++i) {
    clawrun::Sandbox sandbox;
    const int code = (thread * 7 + i) % 100;
    if (const auto set = sandbox.set("timeout", "60s"); !set) complain(set.error().message);
    const auto outcome = sandbox.run({"/bin/sh", "-c", "exit " + std::to_string(code)});
    if (!outcome)
      complain(outcome.error().message);
    else if (outcome->exit_code != code)
      complain("expected " + std::to_string(code) + ", got " + outcome->json);
  }
}

// The host goes on living: its heap and its own children must not mix with the sandboxes'.
void disturb() {
  while (!done) {
    std::vector<std::string> garbage;
    for (int i = 0; i < 100; ++i) garbage.emplace_back(static_cast<std::size_t>(i), 'x');
    const pid_t child = ::fork();
    if (child == 0) ::_exit(3);
    int status = 0;
    if (child < 0 || ::waitpid(child, &status, 0) != child || WEXITSTATUS(status) != 3) complain("a child of the host was lost");
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
}

}  // namespace

int main(int argc, char** argv) {
  const int threads = argc > 1 ? std::atoi(argv[1]) : 8;
  const int runs = argc > 2 ? std::atoi(argv[2]) : 10;
  std::thread noise(disturb);
  std::vector<std::thread> workers;
  for (int i = 0; i < threads; ++i) workers.emplace_back(run_sandboxes, i, runs);
  for (std::thread& worker : workers) worker.join();
  done = true;
  noise.join();
  std::printf("%d threads, %d runs each, %d failures\n", threads, runs, failures.load());
  return failures == 0 ? 0 : 1;
}
