// Times what a host program does: sandboxes started through libclawrun, claims of warm pools, and what they are measured against.
// Each row has a process of its own that waits for its turn, so that one row's memory, threads and mounts are none of another's;
// one turn of each in every round, in a new random order.
#include <clawrun/clawrun.h>
#include <clawrun/pool.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <functional>
#include <iterator>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "floor.h"
#include "report.h"

extern char** environ;

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kMiB = std::size_t{1} << 20U;
constexpr int kStarters = 8;
constexpr int kRunsPerStarter = 20;

struct Options {
  int rounds = 200;
  int warmup = 5;
  std::string json;
  std::string root;
  std::string filter;
  std::string label;
};
Options options;

[[noreturn]] void die(const std::string& text) {
  std::fprintf(stderr, "bench-library: %s\n", text.c_str());
  std::_Exit(2);
}

[[noreturn]] void die(const std::string& doing, clawrun_error* error) {
  die(doing + ": " + (error == nullptr ? "out of memory" : clawrun_error_message(error)));
}

double us_since(Clock::time_point begin) {
  return std::chrono::duration<double, std::micro>(Clock::now() - begin).count();
}

// --- what a turn does: returns its time -----------------------------------------------------------------------------------

double spawn_bare(const std::vector<std::string>& words) {
  std::vector<char*> argv;
  for (const std::string& word : words) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
  pid_t pid = -1;
  int status = 0;
  const auto begin = Clock::now();
  if (::posix_spawnp(&pid, argv[0], &actions, nullptr, argv.data(), environ) != 0) die("posix_spawn of " + words[0]);
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  const double us = us_since(begin);
  posix_spawn_file_actions_destroy(&actions);
  if (status != 0) die(words[0] + ": wait status " + std::to_string(status));
  return us;
}

const sock_fprog& filter() {
  static std::vector<sock_filter> instructions;
  static sock_fprog program{0, nullptr};
  if (program.filter != nullptr) return program;
  std::ifstream file(options.filter, std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  instructions.resize(bytes.size() / sizeof(sock_filter));
  if (instructions.empty()) die("cannot read " + options.filter);
  std::memcpy(instructions.data(), bytes.data(), instructions.size() * sizeof(sock_filter));
  program = {static_cast<unsigned short>(instructions.size()), instructions.data()};
  return program;
}

double run_floor() {
  char command[] = "/true";
  char* argv[] = {command, nullptr};
  const sock_fprog& program = filter();
  const auto begin = Clock::now();
  const int status = floor_run(options.root.c_str(), argv, &program);
  const double us = us_since(begin);
  if (status != 0) die("floor: wait status " + std::to_string(status));
  return us;
}

clawrun_spec* make_spec(const char* root) {
  clawrun_error* error = nullptr;
  clawrun_spec* spec = clawrun_spec_new();
  const char* const settings[][2] = {{"rootfs", root}, {"memory", "none"}, {"pids", "none"}};
  for (const auto& [name, value] : settings)
    if (clawrun_spec_set(spec, name, value, &error) != 0) die(name, error);
  const char* const argv[] = {"/true"};
  if (clawrun_spec_command(spec, 1, argv, &error) != 0) die("command", error);
  return spec;
}

constexpr clawrun_stream kNothing[3] = {{CLAWRUN_NULL, -1}, {CLAWRUN_NULL, -1}, {CLAWRUN_NULL, -1}};
constexpr clawrun_stream kPipes[3] = {{CLAWRUN_NULL, -1}, {CLAWRUN_PIPE, -1}, {CLAWRUN_CAPTURE, -1}};
constexpr clawrun_stream kCaptured[3] = {{CLAWRUN_NULL, -1}, {CLAWRUN_CAPTURE, -1}, {CLAWRUN_CAPTURE, -1}};

void wait_for(clawrun_sandbox* sandbox) {
  clawrun_error* error = nullptr;
  if (clawrun_sandbox_wait(sandbox, -1, &error) != 1) die("wait", error);
  const int code = clawrun_outcome_exit_code(clawrun_sandbox_outcome(sandbox));
  if (code != 0) die("the command ended with " + std::to_string(code));
}

double run_cold(const clawrun_spec* spec) {
  clawrun_error* error = nullptr;
  clawrun_sandbox* sandbox = nullptr;
  const auto begin = Clock::now();
  if (clawrun_spawn(spec, kNothing, &sandbox, &error) != 0) die("spawn", error);
  wait_for(sandbox);
  const double us = us_since(begin);
  clawrun_sandbox_free(sandbox);
  return us;
}

enum class Until { kFirstByte, kEnd };

struct PoolRow {
  clawrun_pool* pool = nullptr;
  const char* code = nullptr;  // nullptr: the specification's command
  Until until = Until::kEnd;
};

PoolRow open_pool(const char* root, const char* interpreter, const char* code, Until until) {
  clawrun_error* error = nullptr;
  clawrun_spec* spec = make_spec(root);
  clawrun_pool_options* with = clawrun_pool_options_new();
  const auto set = [&](const char* name, const char* value) {
    if (clawrun_pool_options_set(with, name, value, &error) != 0) die(name, error);
  };
  set("size", "2");
  if (interpreter != nullptr) {
    set("grade", "primed");
    set("interpreter", interpreter);
  }
  PoolRow row{nullptr, code, until};
  if (clawrun_pool_open(spec, with, &row.pool, &error) != 0) die("pool", error);
  clawrun_pool_options_free(with);
  clawrun_spec_free(spec);
  return row;
}

double run_claim(const PoolRow& row) {
  clawrun_error* error = nullptr;
  if (clawrun_pool_wait_ready(row.pool, 2, 10000, &error) != 1) die("the pool does not become ready", error);
  // What fills it may still be at work.
  std::this_thread::sleep_for(std::chrono::milliseconds(5));
  clawrun_claim* claim = clawrun_claim_new();
  if (row.code != nullptr && clawrun_claim_code(claim, row.code, std::strlen(row.code), &error) != 0) die("code", error);
  clawrun_sandbox* sandbox = nullptr;
  double us = 0;
  const bool parked = row.code == nullptr;
  const auto begin = Clock::now();
  if (clawrun_pool_claim(row.pool, claim, parked ? kNothing : row.until == Until::kEnd ? kCaptured : kPipes, &sandbox, &error) != 0)
    die("claim", error);
  if (row.until == Until::kFirstByte) {
    pollfd output{clawrun_sandbox_stream(sandbox, 1), POLLIN, 0};
    char byte = 0;
    if (::poll(&output, 1, 10000) != 1 || ::read(output.fd, &byte, 1) != 1) die("no output");
    us = us_since(begin);
  }
  wait_for(sandbox);
  if (row.until == Until::kEnd) us = us_since(begin);
  clawrun_sandbox_free(sandbox);
  clawrun_claim_free(claim);
  return us;
}

// Starters at once, each with some runs: the time of all of them for one run.
double many(const std::function<double()>& once, bool in_processes) {
  const auto begin = Clock::now();
  if (in_processes) {
    std::vector<pid_t> pids;
    for (int i = 0; i < kStarters; ++i) {
      const pid_t pid = ::fork();
      if (pid == 0) {
        for (int run = 0; run < kRunsPerStarter; ++run) once();
        std::_Exit(0);
      }
      pids.push_back(pid);
    }
    for (const pid_t pid : pids) ::waitpid(pid, nullptr, 0);
  } else {
    std::vector<std::thread> threads;
    for (int i = 0; i < kStarters; ++i)
      threads.emplace_back([&] {
        for (int run = 0; run < kRunsPerStarter; ++run) once();
      });
    for (std::thread& thread : threads) thread.join();
  }
  return us_since(begin) / (kStarters * kRunsPerStarter);
}

// --- what a row's process is before its first turn ------------------------------------------------------------------------

void grow() {
  auto* memory = static_cast<char*>(::mmap(nullptr, 1024 * kMiB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  if (memory == MAP_FAILED) die("no memory");
  ::madvise(memory, 1024 * kMiB, MADV_NOHUGEPAGE);
  for (std::size_t at = 0; at < 1024 * kMiB; at += 4096) memory[at] = 1;
  for (int i = 0; i < 32; ++i)
    std::thread([] {
      for (;;) ::pause();
    }).detach();
}

void mount_a_thousand() {
  if (::unshare(CLONE_NEWNS) != 0 || ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) die("needs root");
  if (::mount("bench", "/mnt", "tmpfs", 0, nullptr) != 0) die("mount");
  for (int i = 0; i < 1000; ++i)
    if (::mount("/mnt", "/mnt", nullptr, MS_BIND, nullptr) != 0) die("mount");
}

struct Worker {
  std::string name;
  std::function<std::function<double()>()> prepare;
  bool needs_root = false;
  pid_t pid = -1;
  int socket = -1;
};

std::function<double()> cold() {
  const clawrun_spec* spec = make_spec(options.root.c_str());
  return [spec] { return run_cold(spec); };
}

std::function<double()> claims(const PoolRow& row) {
  return [row] { return run_claim(row); };
}

std::vector<Worker> workers() {
  const auto python = [] { return std::vector<std::string>{"python3", "-c", "print(1)"}; };
  return {
      {"start/bare", [] { return [] { return spawn_bare({options.root + "/true"}); }; }},
      {"start/floor", [] { return run_floor; }},
      {"start/cold", cold},
      {"start/cold, 1 GiB and 32 threads", [] { grow(); return cold(); }},
      {"start/cold, 1000 mounts", [] { mount_a_thousand(); return cold(); }, true},
      {"start/parked", [] { return claims(open_pool(options.root.c_str(), nullptr, nullptr, Until::kEnd)); }},
      {"start/sh, first byte", [] { return claims(open_pool("host", "sh", "echo 1", Until::kFirstByte)); }},
      {"start/python, first byte", [] { return claims(open_pool("host", "python3", "print(1, flush=True)", Until::kFirstByte)); }},
      {"python/bare", [python] { return [python] { return spawn_bare(python()); }; }},
      {"python/primed", [] { return claims(open_pool("host", "python3", "print(1)", Until::kEnd)); }},
      {"throughput/floor", [] { return [] { return many(run_floor, true); }; }},
      {"throughput/cold", [] { const auto once = cold(); return [once] { return many(once, false); }; }},
  };
}

[[noreturn]] void serve(const Worker& worker) {
  const std::function<double()> turn = worker.prepare();
  char byte = 0;
  while (::read(worker.socket, &byte, 1) == 1) {
    const double us = turn();
    if (::write(worker.socket, &us, sizeof us) != sizeof us) break;
  }
  std::_Exit(0);
}

void start(Worker& worker) {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) die("no socket");
  worker.pid = ::fork();
  if (worker.pid == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    worker.socket = ends[1];
    ::close(ends[0]);
    serve(worker);
  }
  ::close(ends[1]);
  worker.socket = ends[0];
}

std::optional<double> turn(const Worker& worker) {
  double us = 0;
  if (::write(worker.socket, "g", 1) != 1 || ::read(worker.socket, &us, sizeof us) != sizeof us) return std::nullopt;
  return us;
}

void parse(int argc, char** argv) {
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string_view word = argv[i];
    const std::string value = argv[i + 1];
    if (word == "--rounds") options.rounds = std::max(1, std::atoi(value.c_str()));
    else if (word == "--root") options.root = value;
    else if (word == "--filter") options.filter = value;
    else if (word == "--json") options.json = value;
    else if (word == "--label") options.label = value;
    else die("usage: bench-library --root DIR --filter FILE [--rounds N] [--label TEXT] [--json FILE]");
  }
  if (options.root.empty() || options.filter.empty()) die("wants --root and --filter: tests/bench/run-bench-library gives them");
}

}  // namespace

int main(int argc, char** argv) {
  parse(argc, argv);
  ::signal(SIGPIPE, SIG_IGN);
  std::vector<Worker> all = workers();
  std::vector<Row> rows;
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < all.size(); ++i) {
    rows.push_back({all[i].name, {}, {}, ""});
    if (all[i].needs_root && ::geteuid() != 0) {
      rows[i].failure = "needs root";
      continue;
    }
    start(all[i]);
    bool works = true;
    for (int round = 0; round < options.warmup && works; ++round) works = turn(all[i]).has_value();
    if (works)
      order.push_back(i);
    else
      rows[i].failure = "its process said why";
  }
  std::mt19937 random(1);
  for (int round = 0; round < options.rounds; ++round) {
    std::ranges::shuffle(order, random);
    for (const std::size_t index : order) {
      // A row of many runs at once is as long as all others together.
      if (rows[index].name.starts_with("throughput/") && round % 20 != 0) continue;
      const auto us = turn(all[index]);
      if (!us) die("\"" + all[index].name + "\" worked and then failed, in round " + std::to_string(round));
      rows[index].us.push_back(*us);
    }
  }
  for (const Worker& worker : all)
    if (worker.socket >= 0) ::close(worker.socket);
  for (const Worker& worker : all)
    if (worker.pid > 0) ::waitpid(worker.pid, nullptr, 0);
  const Report report{options.label, options.rounds, {"bare", "floor", "cold"}};
  std::fputs(table(rows, report).c_str(), stdout);
  if (options.json.empty()) return 0;
  std::ofstream file(options.json);
  file << json(rows, report);
  return file.flush() ? 0 : 1;
}
