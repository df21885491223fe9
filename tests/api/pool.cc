// Warm pools by their handles: claims of both grades, what they may bring, and pools under attack. One TAP line each.
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <clawrun/pool.hpp>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <optional>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

namespace {

using clawrun::Claim;
using clawrun::Pool;
using clawrun::PoolOptions;
using clawrun::Running;
using namespace std::chrono_literals;
namespace stream = clawrun::stream;

int number = 0;
int failed = 0;

void check(bool good, const std::string& what) {
  std::printf("%sok %d - %s\n", good ? "" : "not ", ++number, what.c_str());
  std::fflush(stdout);
  if (!good) ++failed;
}

using Words = std::vector<std::pair<std::string, std::string>>;

clawrun::Expected<Pool> try_open(const Words& options, const Words& settings = {}) {
  clawrun::Sandbox spec;
  for (const auto& [name, value] : settings)
    if (auto set = spec.set(name, value); !set) return std::unexpected(set.error());
  PoolOptions with;
  for (const auto& [name, value] : options)
    if (auto set = with.set(name, value); !set) return std::unexpected(set.error());
  return Pool::open(spec, with);
}

Pool open(const Words& options, const Words& settings = {}) {
  auto opened = try_open(options, settings);
  if (!opened) {
    std::printf("Bail out! %s\n", opened.error().message.c_str());
    std::exit(1);
  }
  return std::move(*opened);
}

constexpr std::array<clawrun_stream, 3> kCaptured{stream::kNull, stream::kCapture, stream::kCapture};
constexpr std::array<clawrun_stream, 3> kWithInput{stream::kPipe, stream::kCapture, stream::kCapture};

struct Brought {
  std::vector<std::string> command;
  std::string code;
  Words settings;
  std::vector<std::string> env;
  Words files;
  std::string input;
};

struct Answer {
  std::string out;
  std::string err;
  int code = -1;
  int status = -1;
  std::string refusal;
};

Answer ask(Pool& pool, const Brought& brought) {
  Claim claim;
  Answer answer;
  const auto keep = [&](const auto& done) {
    if (!done && answer.refusal.empty()) answer.refusal = done.error().message;
  };
  if (!brought.command.empty()) keep(claim.command(brought.command));
  if (!brought.code.empty()) keep(claim.code(brought.code));
  for (const auto& [name, value] : brought.settings) keep(claim.set(name, value));
  for (const std::string& variable : brought.env) keep(claim.env(variable));
  for (const auto& [path, data] : brought.files) keep(claim.file(path, data));
  if (!answer.refusal.empty()) return answer;
  auto running = pool.claim(claim, brought.input.empty() ? kCaptured : kWithInput);
  keep(running);
  if (!running) return answer;
  if (!brought.input.empty()) {
    const int in = running->take_stream(0);
    (void)!::write(in, brought.input.data(), brought.input.size());
    ::close(in);
  }
  const auto ended = running->wait(30s);
  if (!ended || !*ended) return answer;
  answer.out = running->output(1);
  answer.err = running->output(2);
  answer.code = running->outcome().exit_code;
  answer.status = running->outcome().status;
  return answer;
}

Answer ask_sh(Pool& pool, const std::string& script, Brought brought = {}) {
  brought.command = {"/bin/sh", "-c", script};
  return ask(pool, brought);
}

bool says(const std::string& text, const char* part) {
  return text.find(part) != std::string::npos;
}

std::string text_of(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

// The processes whose parent is `parent`, a thread group.
std::vector<pid_t> children_of(pid_t parent) {
  std::vector<pid_t> found;
  DIR* proc = ::opendir("/proc");
  while (const dirent* entry = ::readdir(proc)) {
    const pid_t pid = std::atoi(entry->d_name);
    if (pid <= 0) continue;
    const std::string stat = text_of("/proc/" + std::string(entry->d_name) + "/stat");
    const std::size_t end = stat.rfind(')');
    int its_parent = 0;
    if (end != std::string::npos && std::sscanf(stat.c_str() + end, ") %*c %d", &its_parent) == 1 && its_parent == parent)
      found.push_back(pid);
  }
  ::closedir(proc);
  return found;
}

long field(const std::string& path, const char* key) {
  const std::string text = text_of(path);
  const std::size_t at = text.find(key);
  return at == std::string::npos ? -1 : std::atol(text.c_str() + at + std::strlen(key));
}

template <typename Condition>
bool within(std::chrono::milliseconds time, Condition holds) {
  const auto until = std::chrono::steady_clock::now() + time;
  while (!holds()) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::sleep_for(5ms);
  }
  return true;
}

void parked() {
  Pool pool = open({{"size", "3"}});
  check(pool.wait_ready(3, 20s).value_or(false), "three parked sandboxes become ready");
  Answer answer = ask_sh(pool, "echo out; echo err >&2; exit 7");
  check(answer.out == "out\n" && answer.err == "err\n" && answer.code == 7, "a parked claim runs its command");
  answer = ask_sh(pool, "cat; pwd; ls /proc/self/fd | wc -l", {.input = "given\n"});
  check(answer.out == "given\n/workspace\n4\n", "input is passed on, and there is no descriptor but stdio: " + answer.out);
  answer = ask_sh(pool, "cat a/b; echo $ONE$HOME; id -u", {.env = {"ONE=1", "HOME=/x"}, .files = {{"a/b", "content\n"}}});
  check(answer.out == "content\n1/x\n1000\n", "files and variables come with the claim: " + answer.out + answer.refusal);
  answer = ask(pool, {.command = {"sh", "-c", "exit 3"}, .env = {"PATH=/nowhere:/bin"}});
  check(answer.code == 3, "a command is looked up in the PATH of the claim");
  check(ask(pool, {.command = {"nothing-of-this-name"}}).refusal.find("not found in the sandbox") != std::string::npos,
        "a command that is not there is an error of the claim");
  check(says(ask(pool, {}).refusal, "neither the claim nor the specification"), "a claim without a command is an error");
  check(says(ask(pool, {.command = {"true"}, .code = "x"}).refusal, "primed"), "code for a parked pool is an error");
  answer = ask_sh(pool, "sleep 30", {.settings = {{"timeout", "300ms"}, {"grace", "0"}}});
  check(answer.status == CLAWRUN_TIMEOUT, "a claim may have a deadline of its own");
  answer = ask_sh(pool, "head -c 100000 /dev/zero", {.settings = {{"max-output", "10"}}});
  check(answer.out.size() == 10, "and a limit of its output");
  answer = ask_sh(pool, "grep -E '^(NoNewPrivs|Seccomp|CapEff|CapBnd|SigBlk|SigIgn):' /proc/self/status");
  check(says(answer.out, "NoNewPrivs:\t1") && says(answer.out, "Seccomp:\t2") && says(answer.out, "CapBnd:\t0000000000000000") &&
            says(answer.out, "SigBlk:\t0000000000000000"),
        "what was parked is as confined as what is started cold: " + answer.out);
  for (const auto& [name, value] : Words{{"rootfs", "host"}, {"seccomp", "unconfined"}, {"network", "host"}, {"user", "0"}})
    check(says(ask_sh(pool, "true", {.settings = {{name, value}}}).refusal, "a cold start (clawrun_spawn) can do it"),
          name + " is refused: a cold start can do it");
  check(says(ask_sh(pool, "true", {.settings = {{"memroy", "1m"}}}).refusal, "memory"), "a wrong name names the nearest");
  check(says(ask_sh(pool, "true", {.settings = {{"workspace", "/tmp"}}}).refusal, "workspace=on"),
        "a workspace needs the pool's option");
  check(says(ask_sh(pool, "true", {.settings = {{"grace", "1h"}}}).refusal, "shorter"), "a longer grace is refused");
  const clawrun_pool_stats stats = pool.stats();
  check(stats.hits + stats.misses >= 8 && stats.made >= 3 && stats.refill_us_max > 0 && stats.size == 3, "all of it is counted");
}

void options() {
  check(says(try_open({{"szie", "1"}}).error().message, "\"size\""), "a wrong option names the nearest");
  check(says(try_open({{"size", "0"}}).error().message, "1 to 10000"), "a size of 0 is refused");
  check(says(try_open({{"grade", "warm"}}).error().message, "\"primed\""), "an unknown grade is refused");
  check(says(try_open({{"grade", "primed"}}).error().message, "python3, node, sh"), "a primed pool needs an interpreter");
  check(says(try_open({{"grade", "primed"}, {"interpreter", "/bin/perl"}}).error().message, "is not known"),
        "one that is not known is refused");
  check(says(try_open({{"prime", "x"}}).error().message, "only a pool of grade primed"), "a prime script is for primed pools");
  for (const auto& [name, value] : Words{{"no-init", "on"}, {"name", "x"}, {"tty", "on"}})
    check(says(try_open({}, {{name, value}}).error().message, "not in a pool"), name + " is refused in a pool");
  check(says(try_open({{"grade", "primed"}, {"interpreter", "/opt/none/python3"}}).error().message, "not found in the sandbox"),
        "what every sandbox would fail with is an error of open");
  check(!try_open({}, {{"rootfs", "/nonexistent"}}), "a root that is not there, too");
  check(says(try_open({{"size", "10000"}}).error().message, "RLIMIT_NOFILE"), "too few descriptors: the number that is needed");
}

void primed_python() {
  Pool pool = open({{"size", "2"}, {"grade", "primed"}, {"interpreter", "/usr/bin/python3"}, {"prime", "import json\nx = 41"}});
  check(pool.wait_ready(2, 60s).value_or(false), "primed python3 becomes ready");
  Answer answer = ask(pool, {.code = "import os, sys\nprint(json.dumps([x + 1, os.environ['A'], sys.stdin.read(), __name__, sys.argv]))",
                             .env = {"A=b=c"},
                             .input = "in"});
  check(answer.out == "[42, \"b=c\", \"in\", \"__main__\", [\"-c\"]]\n" && answer.code == 0,
        "code sees the prime script, variables and input: " + answer.out + answer.err);
  answer = ask(pool, {.code = "def f():\n  raise KeyError('k')\nf()"});
  check(answer.code == 1 && says(answer.err, "Traceback (most recent call last):\n  File \"<string>\", line 3, in <module>") &&
            says(answer.err, "KeyError: 'k'") && !says(answer.err, "_clawrun"),
        "an exception is printed as python prints it: " + answer.err);
  check(says(ask(pool, {.code = "x ="}).err, "SyntaxError"), "a syntax error too");
  check(ask(pool, {.code = "import sys; sys.exit(9)"}).code == 9 && ask(pool, {.code = "raise SystemExit('no')"}).err == "no\n",
        "sys.exit is honoured");
  answer = ask(pool, {.code = "import atexit, threading, time\natexit.register(print, 'bye')\n"
                              "threading.Thread(target=lambda: (time.sleep(.1), print('thread'))).start()"});
  check(answer.out == "thread\nbye\n", "threads are waited for, and what is registered for the end is done: " + answer.out);
  answer = ask(pool, {.code = "import os\nprint(sorted(os.listdir('/proc/self/fd'))[:3], len(os.listdir('/proc/self/fd')))"});
  check(answer.out == "['0', '1', '2'] 4\n", "no descriptor of the driver is left: " + answer.out);
  answer = ask(pool, {.code = "print(open('f').read())", .files = {{"f", "file"}}});
  check(answer.out == "file\n", "files come with the claim");
  const std::string large = "n = len('''" + std::string(3 << 20U, 'x') + "''')\nprint(n)";
  check(ask(pool, {.code = large}).out == "3145728\n", "code may be larger than a pipe");
  check(ask(pool, {.code = "while True: pass", .settings = {{"timeout", "300ms"}, {"grace", "0"}}}).status == CLAWRUN_TIMEOUT,
        "a primed claim may have a deadline");
  check(says(ask(pool, {.command = {"true"}}).refusal, "primed"), "a command for a primed pool is an error");
  check(says(ask(pool, {}).refusal, "brings none"), "a claim without code is an error");
  Claim claim;
  (void)claim.code("1");
  auto inherited = pool.claim(claim, {stream::kNull, clawrun_stream{CLAWRUN_INHERIT, -1}, stream::kPipe});
  check(!inherited && says(inherited.error().message, "CLAWRUN_CAPTURE"), "streams that were made cannot be inherited");

  Pool bad = open({{"size", "2"}, {"grade", "primed"}, {"interpreter", "/usr/bin/python3"}, {"prime", "import nothing_of_this_name"}});
  const auto ready = bad.wait_ready(1, 60s);
  check(!ready && says(ready.error().message, "No module named"), "a prime script that fails: the error says why");
}

void primed_others() {
  Pool shell = open({{"size", "2"}, {"grade", "primed"}, {"interpreter", "sh"}, {"prime", "greet() { echo hello $1; }"}});
  check(shell.wait_ready(2, 20s).value_or(false), "primed sh becomes ready");
  Answer answer = ask(shell, {.code = "greet \"$A\"\nread line\necho \"$line,$#,$0\"\nexit 5", .env = {"A=it's $HOME"}, .input = "one\ntwo\n"});
  check(answer.out == "hello it's $HOME\none,0,sh\n" && answer.code == 5, "code sees the prime script, variables and input: " + answer.out + answer.err);
  check(ask(shell, {.code = "false"}).code == 1 && ask(shell, {.code = "kill -9 $$"}).code == 137, "the exit status is the last command's");
  check(ask(shell, {.code = "ls /proc/self/fd | wc -l"}).out == "4\n", "no descriptor of the driver is left");
  check(says(ask(shell, {.code = "true", .env = {"a-b=1"}}).refusal, "no name of a shell variable"), "no variable breaks out of its name");
  if (::access("/usr/bin/node", X_OK) != 0) return check(true, "node # SKIP there is none here");
  Pool node = open({{"size", "1"}, {"grade", "primed"}, {"interpreter", "node"}, {"prime", "globalThis.x = 41"}}, {{"memory", "none"}});
  check(node.wait_ready(1, 60s).value_or(false), "primed node becomes ready");
  answer = ask(node, {.code = "console.log(x + 1, process.env.A, require('fs').readFileSync(0, 'utf8')); setTimeout(() => process.exit(4), 10)",
                      .env = {"A=b"},
                      .input = "in"});
  check(answer.out == "42 b in\n" && answer.code == 4, "code sees the prime script, variables and input: " + answer.out + answer.err);
  check(ask(node, {.code = "throw new Error('no')"}).code == 1, "an exception is exit status 1");
}

void empty_pools() {
  Pool waiting = open({{"size", "1"}, {"when-empty", "wait"}, {"wait", "20s"}});
  std::vector<std::thread> threads;
  std::atomic<int> good{0};
  for (int i = 0; i < 8; ++i)
    threads.emplace_back([&] {
      for (int claim = 0; claim < 12; ++claim)
        if (ask_sh(waiting, "exit 6").code == 6) ++good;
    });
  for (std::thread& thread : threads) thread.join();
  clawrun_pool_stats stats = waiting.stats();
  check(good == 96 && stats.waited > 0 && stats.starved == 0 && stats.misses == 0, "96 claims of 8 threads wait for a pool of one: " + std::to_string(good) + ", " + std::to_string(stats.waited) + ", " + std::to_string(stats.starved));

  Pool cold = open({{"size", "1"}});
  good = 0;
  threads.clear();
  for (int i = 0; i < 8; ++i)
    threads.emplace_back([&] {
      for (int claim = 0; claim < 12; ++claim)
        if (ask_sh(cold, "exit 6").code == 6) ++good;
    });
  for (std::thread& thread : threads) thread.join();
  stats = cold.stats();
  check(good == 96 && stats.misses > 0 && stats.hits + stats.misses == 96, "or start cold, and that is counted");

  Pool starving = open({{"size", "1"}, {"grade", "primed"}, {"interpreter", "sh"}, {"prime", "sleep 5"}, {"when-empty", "wait"}, {"wait", "100ms"}});
  check(says(ask(starving, {.code = "true"}).refusal, "within 100 ms") && starving.stats().starved == 1, "a claim that waits in vain is starved");
}

// Those that end while they are ready are replaced, more and more slowly.
void deaths() {
  Pool pool = open({{"size", "2"}});
  (void)pool.wait_ready(2, 20s);
  for (const pid_t pid : children_of(::getpid())) ::kill(pid, SIGKILL);
  check(within(10s, [&] { return pool.stats().died == 2 && pool.stats().ready == 2; }), "ready ones that are killed are replaced");
  check(ask_sh(pool, "exit 8").code == 8, "and claims go on");

  Pool dying = open({{"size", "2"}, {"grade", "primed"}, {"interpreter", "sh"}, {"prime", "(sleep 0.05; kill -9 2) &"}});
  std::this_thread::sleep_for(3s);
  const clawrun_pool_stats stats = dying.stats();
  check(stats.died + stats.failed > 3 && stats.died + stats.failed < 40, "those that always die are replaced more and more slowly: " +
                                                                         std::to_string(stats.died + stats.failed));
  check(pool.resize(4).has_value() && pool.wait_ready(4, 20s).value_or(false) && pool.resize(1).has_value() &&
            within(10s, [&] { return pool.stats().ready == 1; }),
        "a pool can be made larger and smaller");
}

// A parked child shares the memory of this process. Nothing of that may be found from inside a sandbox that has been claimed.
void hostile() {
  Pool pool = open({{"size", "4"}});
  (void)pool.wait_ready(4, 20s);
  Answer answer = ask_sh(pool, "ls /proc | grep -E '^[0-9]+$' | sort -n | head -2 | tr '\\n' ' '; cat /proc/1/maps /proc/1/environ 2>&1 | head -c 200; "
                               "cat /proc/1/mem 2>&1 | head -c 100; kill -9 1; kill -9 -1; echo alive");
  check(!says(answer.out, "api-pool") && !says(answer.out, "heap"), "pid 1 inside shows nothing of this process: " + answer.out);
  check(pool.stats().died == 0, "no sibling can be killed from inside");
  answer = ask_sh(pool, "for i in 1 2 3 4 5; do (while :; do (:) & done) & done 2>/dev/null; sleep 0.5; kill -9 2", {.settings = {{"timeout", "3s"}, {"grace", "0"}}});
  check(answer.code != 0 && pool.wait_ready(1, 20s).value_or(false) && ask_sh(pool, "echo next").out == "next\n",
        "after a fork bomb the pool goes on");
  (void)ask_sh(pool, "echo secret >/tmp/secret; echo secret >/workspace/secret; echo secret >/dev/shm/secret");
  answer = ask_sh(pool, "cat /tmp/secret /workspace/secret /dev/shm/secret 2>/dev/null; ls -A /tmp /workspace /dev/shm | grep -c secret");
  check(answer.out == "0\n", "the next claim finds nothing of the last one");
  answer = ask_sh(pool, "cat /proc/net/unix | wc -l; echo $(($(ls /proc/self/fd | wc -l)))");
  check(says(answer.out, "\n4\n"), "no socket of the pool is to be found: " + answer.out);
}

// With 50 parked the host is killed; nothing is left.
void killed_host() {
  int ends[2];
  (void)!::pipe2(ends, O_CLOEXEC);
  const pid_t host = ::fork();
  if (host == 0) {
    Pool pool = open({{"size", "50"}});
    (void)pool.wait_ready(50, 60s);
    (void)!::write(ends[1], "r", 1);
    ::pause();
  }
  ::close(ends[1]);
  char byte = 0;
  const bool ready = ::read(ends[0], &byte, 1) == 1;
  const std::vector<pid_t> sandboxes = children_of(host);
  ::kill(host, SIGKILL);
  ::waitpid(host, nullptr, 0);
  const bool gone = within(5s, [&] {
    for (const pid_t pid : sandboxes) {
      const std::string stat = text_of("/proc/" + std::to_string(pid) + "/stat");
      if (says(stat, "(memfd:clawrun-i")) return false;
    }
    return true;
  });
  check(ready && sandboxes.size() == 50 && gone, "SIGKILL of a host with 50 parked leaves none: " + std::to_string(sandboxes.size()));
}

void forks() {
  Pool pool = open({{"size", "2"}});
  (void)pool.wait_ready(2, 20s);
  const pid_t child = ::fork();
  if (child == 0) {
    Claim claim;
    (void)claim.command({"true"});
    const auto claimed = pool.claim(claim, kCaptured);
    const bool refused = !claimed && says(claimed.error().message, "its forks");
    { const Pool closed = std::move(pool); }
    ::_exit(refused ? 0 : 1);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  check(status == 0 && pool.stats().ready == 2 && ask_sh(pool, "exit 2").code == 2, "a fork of the host can neither use nor close the pool");
}

// A thread that claims, or starts cold, and ends: its sandbox goes on.
void threads_that_end() {
  Pool pool = open({{"size", "1"}});
  (void)pool.wait_ready(1, 20s);
  std::optional<Running> claimed;
  std::optional<Running> spawned;
  std::thread([&] {
    Claim claim;
    (void)claim.command({"sh", "-c", "sleep 0.5; exit 4"});
    if (auto got = pool.claim(claim, kCaptured)) claimed = std::move(*got);
    clawrun::Sandbox spec;
    (void)spec.command({"sh", "-c", "sleep 0.5; exit 4"});
    if (auto got = spec.spawn(kCaptured)) spawned = std::move(*got);
  }).join();
  { const Pool closed = std::move(pool); }
  const bool both = claimed && claimed->wait(20s).value_or(false) && spawned && spawned->wait(20s).value_or(false);
  check(both && claimed->outcome().exit_code == 4 && spawned->outcome().exit_code == 4,
        "what was claimed outlives the thread that claimed it, and the pool");
}

void idle() {
  Pool pool = open({{"size", "4"}});
  Pool primed = open({{"size", "1"}, {"grade", "primed"}, {"interpreter", "/usr/bin/python3"}});
  (void)pool.wait_ready(4, 20s);
  (void)primed.wait_ready(1, 60s);
  std::this_thread::sleep_for(300ms);
  std::vector<std::string> watched;
  DIR* tasks = ::opendir("/proc/self/task");
  while (const dirent* entry = ::readdir(tasks))
    if (text_of("/proc/self/task/" + std::string(entry->d_name) + "/comm") == "clawrun-pool\n")
      watched.push_back("/proc/self/task/" + std::string(entry->d_name) + "/status");
  ::closedir(tasks);
  const std::size_t pool_threads = watched.size();
  for (const pid_t pid : children_of(::getpid())) {
    watched.push_back("/proc/" + std::to_string(pid) + "/status");
    for (const pid_t below : children_of(pid)) watched.push_back("/proc/" + std::to_string(below) + "/status");
  }
  const auto wakeups = [&] {
    long sum = 0;
    for (const std::string& path : watched) sum += field(path, "\nvoluntary_ctxt_switches:\t");
    return sum;
  };
  const long before = wakeups();
  std::this_thread::sleep_for(2s);
  check(pool_threads == 2 && watched.size() == 12 && wakeups() == before,
        "idle pools do not wake up: " + std::to_string(wakeups() - before) + " times in 2 s, of " + std::to_string(watched.size()));
}

long host_kib() {
  return field("/proc/self/smaps_rollup", "Private_Dirty:");
}

void many(std::uint64_t count) {
  const long before_kib = host_kib();
  Pool pool = open({{"size", std::to_string(count)}}, {{"memory", "none"}, {"pids", "none"}});
  const bool ready = pool.wait_ready(count, 240s).value_or(false);
  const std::vector<pid_t> inits = children_of(::getpid());
  long pss_kib = 0;
  for (const pid_t pid : inits) pss_kib += std::max(0L, field("/proc/" + std::to_string(pid) + "/smaps_rollup", "\nPss:"));
  const long each_kib = (pss_kib + host_kib() - before_kib) / static_cast<long>(count);
  check(ready && inits.size() == count, std::to_string(count) + " parked are held at once");
  check(each_kib <= 150, "one takes " + std::to_string(each_kib) + " KiB: init " + std::to_string(pss_kib / static_cast<long>(count)) +
                             ", and its share of this process");
  const auto begun = std::chrono::steady_clock::now();
  { const Pool closed = std::move(pool); }
  const auto taken = std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - begun);
  check(children_of(::getpid()).empty(), "and are gone on close, in " + std::to_string(taken.count()) + " ms");
}

void workspaces(const std::string& directory) {
  Pool pool = open({{"size", "1"}, {"workspace", "on"}});
  check(ask_sh(pool, "pwd; echo x >f; cat f").out == "/workspace\nx\n", "a pool whose claims may bring a workspace works without one");
  const Answer answer = ask_sh(pool, "pwd; cat in; echo made >out; mount | grep -c ' /workspace '", {.settings = {{"workspace", directory}}});
  if (::geteuid() != 0) return check(says(answer.refusal, "needs root"), "only root can bring one");
  check(says(answer.out, "/workspace\nbrought\n") && text_of(directory + "/out") == "made\n", "a claim brings a workspace: " + answer.out + answer.err + answer.refusal);
  const Answer kept = ask_sh(pool, "cat in; echo x >in; grep -E '^(Seccomp|NoNewPrivs|CapEff)' /proc/self/status", {.settings = {{"workspace", directory + ":ro"}}});
  check(says(kept.out, "brought") && text_of(directory + "/in") == "brought\n", "read-only, where it says so: " + kept.out);
  check(says(kept.out, "Seccomp:\t2") && says(kept.out, "NoNewPrivs:\t1") && says(kept.out, "CapEff:\t0000000000000000"), "and is confined all the same");
  check(says(ask_sh(pool, "true", {.settings = {{"workspace", "/etc/passwd"}}}).refusal, "not a directory"), "a file is no workspace");
}

void limits() {
  auto opened = try_open({{"size", "1"}}, {{"memory", "256m"}, {"pids", "64"}});
  if (!opened) return check(true, "limits # SKIP " + opened.error().message);
  Pool pool = std::move(*opened);
  check(says(ask_sh(pool, "true", {.settings = {{"memory", "1g"}}}).refusal, "smaller"), "a larger limit is refused");
  check(says(ask_sh(pool, "true", {.settings = {{"pids", "none"}}}).refusal, "smaller"), "so is none");
  Answer answer = ask_sh(pool, "for i in 1 2 3 4 5 6 7 8; do sleep 1 & done 2>/dev/null; echo never", {.settings = {{"pids", "5"}}});
  check(!says(answer.out, "never") && answer.code > 0, "a tighter pids limit holds: " + answer.out + answer.refusal);
  answer = ask_sh(pool, "sleep 0.2; head -c 60000000 /dev/zero | tail -c 60000000 | wc -c", {.settings = {{"memory", "16m"}}});
  check(answer.out != "60000000\n" && answer.refusal.empty(), "a tighter memory limit holds: " + answer.out + answer.refusal);
  // The kernel would kill this process with the sandbox, whose memory it shares until the exec.
  Brought large{.command = std::vector<std::string>(16, std::string(100'000, 'x'))};
  large.command[0] = "true";
  auto small = try_open({{"size", "1"}}, {{"memory", "1m"}});
  check(small && says(ask(*small, large).refusal, "arguments and environment"), "words that the memory has no room for are refused");
}

}  // namespace

int main(int argc, char** argv) {
  ::signal(SIGPIPE, SIG_IGN);
  const std::string directory = argc > 1 ? argv[1] : "/tmp";
  std::ofstream(directory + "/in") << "brought\n";
  const std::string only = argc > 2 ? argv[2] : "";
  const std::pair<const char*, void (*)()> rows[] = {{"parked", parked}, {"options", options}, {"python", primed_python}, {"others", primed_others},
    {"empty", empty_pools}, {"deaths", deaths}, {"hostile", hostile}, {"killed", killed_host}, {"forks", forks}, {"threads", threads_that_end},
    {"idle", idle}, {"limits", limits}};
  for (const auto& [name, test] : rows)
    if (only.empty() || only == name) test();
  if (only.empty() || only == "workspaces") workspaces(directory);
  if (only.empty() || only == "many") many(argc > 3 ? std::strtoull(argv[3], nullptr, 10) : 1000);
  std::printf("1..%d\n", number);
  return failed == 0 ? 0 : 1;
}
