// A host of agents: many sandboxes at the same time in one thread, each with its own code, result file and deadline.
// agent-host [COUNT]
#include <clawrun/clawrun.hpp>

#include <sys/epoll.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <map>

namespace {

struct Job {
  int number;
  clawrun::Running sandbox;
};

struct Totals {
  int right = 0;
  int timed_out = 0;
  int failed = 0;
};

// Every fifth job never ends by itself: its deadline ends it.
bool is_endless(int number) {
  return number % 5 == 4;
}

std::string code_of(int number) {
  if (is_endless(number)) return "while :; do sleep 1; done";
  return "cat; echo $((" + std::to_string(number) + " * 2)) > result";
}

clawrun::Expected<clawrun::Running> start(int number) {
  clawrun::Sandbox spec;
  // A deadline for each; so much of everything that nobody can take it from the others.
  for (const auto& [name, value] : std::map<std::string, std::string>{
           {"timeout", is_endless(number) ? "2s" : "100s"}, {"grace", "100ms"}, {"max-output", "64k"}, {"tmp-size", "4m"}})
    if (auto set = spec.set(name, value); !set) return std::unexpected(set.error());
  if (auto set = spec.file("job.sh", code_of(number)); !set) return std::unexpected(set.error());
  if (auto set = spec.command({"sh", "job.sh"}); !set) return std::unexpected(set.error());
  return spec.spawn({clawrun::stream::kPipe, clawrun::stream::kCapture, clawrun::stream::kCapture});
}

void settle(const Job& job, Totals& totals) {
  const clawrun::RunOutcome outcome = job.sandbox.outcome();
  const auto result = job.sandbox.get_file("result", 64);
  if (outcome.status == CLAWRUN_TIMEOUT) {
    is_endless(job.number) ? ++totals.timed_out : ++totals.failed;
  } else if (outcome.exit_code == 0 && result && *result == std::to_string(job.number * 2) + "\n") {
    ++totals.right;
  } else {
    ++totals.failed;
    std::fprintf(stderr, "job %d: %s%s\n", job.number, outcome.json.c_str(), std::string(job.sandbox.output(2)).c_str());
  }
}

}  // namespace

int main(int argc, char** argv) {
  const int count = argc > 1 ? std::atoi(argv[1]) : 200;
  const int loop = ::epoll_create1(EPOLL_CLOEXEC);
  std::map<int, Job> jobs;  // by the descriptor that the loop waits for
  Totals totals;
  for (int number = 0; number < count; ++number) {
    auto sandbox = start(number);
    if (!sandbox) {
      std::fprintf(stderr, "job %d: %s\n", number, sandbox.error().message.c_str());
      ++totals.failed;
      continue;
    }
    const int fd = sandbox->fd();
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = fd;
    ::epoll_ctl(loop, EPOLL_CTL_ADD, fd, &event);
    jobs.emplace(fd, Job{number, std::move(*sandbox)});
  }
  const std::size_t running = jobs.size();
  // The jobs wait for the end of their input: now all of them are running at the same time.
  for (auto& [fd, job] : jobs) ::close(job.sandbox.take_stream(0));
  while (!jobs.empty()) {
    epoll_event events[64];
    const int ready = ::epoll_wait(loop, events, 64, -1);
    for (int i = 0; i < ready; ++i) {
      const auto job = jobs.find(events[i].data.fd);
      const auto ended = job->second.sandbox.process();
      if (ended && !*ended) continue;
      if (ended)
        settle(job->second, totals);
      else
        ++totals.failed;
      jobs.erase(job);  // with its sandbox; epoll forgets the descriptor with it
    }
  }
  ::close(loop);
  std::printf("%d jobs, %zu at once: %d right, %d at their deadline, %d failed\n", count, running, totals.right, totals.timed_out,
              totals.failed);
  return totals.failed == 0 ? 0 : 1;
}
