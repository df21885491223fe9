#include <dirent.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <vector>

#include "hostile.h"

namespace hostile {

namespace {

std::vector<pid_t> visible_pids() {
  std::vector<pid_t> pids;
  DIR* listing = ::opendir("/proc");
  if (listing == nullptr) return pids;
  while (const dirent* entry = ::readdir(listing))
    if (const int pid = std::atoi(entry->d_name); pid > 0) pids.push_back(pid);
  ::closedir(listing);
  return pids;
}

}  // namespace

// Each signal to each pid that can be seen and to numbers that cannot, then KILL to all. Says what is alive afterwards.
int signal_everyone(Words) {
  for (int signal = 1; signal <= 64; ++signal) ::signal(signal, SIG_IGN);
  long sent = 0;
  for (const pid_t pid : visible_pids())
    for (int signal = 1; pid != ::getpid() && signal <= 64; ++signal)
      if (::kill(pid, signal) == 0) ++sent;
  for (pid_t pid = 1; pid < 70'000; ++pid)
    if (pid != ::getpid()) ::kill(pid, SIGKILL);
  ::kill(-1, SIGKILL);
  ::kill(-1, SIGSTOP);
  // Negative numbers are groups: 0 and 1 would be those of init.
  ::kill(-1 * 1, SIGTERM);
  ::usleep(50'000);
  say("sent " + std::to_string(sent) + ", visible " + std::to_string(visible_pids().size()) + ", pid 1 " + (::access("/proc/1/stat", F_OK) == 0 ? "alive" : "gone"));
  return 0;
}

// PTRACE_SEIZE and PTRACE_ATTACH of every pid that can be seen, and of an own child, which is the proof that it can work.
int trace_everyone(Words) {
  for (const pid_t pid : visible_pids()) {
    if (pid == ::getpid()) continue;
    const long seized = checked(::ptrace(PTRACE_SEIZE, pid, nullptr, nullptr));
    const long attached = seized < 0 ? checked(::ptrace(PTRACE_ATTACH, pid, nullptr, nullptr)) : 0;
    say("pid " + std::to_string(pid) + " " + outcome(seized) + " " + outcome(attached));
  }
  const pid_t child = ::fork();
  if (child == 0)
    for (;;) ::pause();
  say("own-child " + outcome(checked(::ptrace(PTRACE_SEIZE, child, nullptr, nullptr))));
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  return 0;
}

// fork-bomb MARKER: forks from every process until it is refused everywhere, says how many there are, and stays.
int fork_bomb(Words) {
  const pid_t first = ::getpid();
  int refused = 0;
  for (int i = 0; i < 20'000; ++i) {
    if (::fork() < 0) {
      if (++refused > 20) break;
      ::usleep(1000);
    }
  }
  if (::getpid() == first) say("processes " + std::to_string(visible_pids().size()));
  for (;;) ::pause();
}

// memory-bomb: maps and touches memory until it is refused.
int memory_bomb(Words) {
  constexpr std::size_t kStep = 4U << 20U;
  long total = 0;
  for (int i = 0; i < 4096; ++i) {
    void* memory = ::mmap(nullptr, kStep, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
      say("bytes " + std::to_string(total) + " " + outcome(-errno));
      return 0;
    }
    std::memset(memory, 1, kStep);
    total += static_cast<long>(kStep);
  }
  say("bytes " + std::to_string(total) + " OK");
  return 0;
}

namespace {

void detach() {
  if (::fork() != 0) ::_exit(0);
  ::setsid();
  if (::fork() != 0) ::_exit(0);
}

// A child in a session of its own whose parent is gone; the first process stays or goes.
void away(bool stay) {
  if (::fork() != 0) {
    if (!stay) ::usleep(30'000);
    if (!stay) ::_exit(0);
    return;
  }
  detach();
}

}  // namespace

// refuse-to-die HOW MARKER: says "ready" and stays, by one of the ways below.
int refuse_to_die(Words words) {
  const std::string_view how = words.empty() ? "" : words[0];
  if (how == "ignore")
    for (int signal = 1; signal <= 64; ++signal) ::signal(signal, SIG_IGN);
  if (how == "block") {
    sigset_t all;
    ::sigfillset(&all);
    ::sigprocmask(SIG_SETMASK, &all, nullptr);
  }
  if (how == "setsid" && ::fork() == 0) {
    ::setsid();
    for (;;) ::pause();
  }
  if (how == "double-fork") away(true);
  if (how == "orphan") away(false);  // the command itself ends: what it left must die with it
  if (how == "stop-self" || how == "stop-parent") {
    say("ready");
    ::kill(how == "stop-self" ? ::getpid() : ::getppid(), SIGSTOP);
  } else {
    say("ready");
  }
  for (;;) ::pause();
}

namespace {

socklen_t abstract_address(sockaddr_un& address, std::string_view name) {
  address = {};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path + 1, name.data(), name.size());
  return static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
}

}  // namespace

int connect_abstract(Words words) {
  if (words.empty()) return 64;
  sockaddr_un address;
  const socklen_t size = abstract_address(address, words[0]);
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  say("connect " + outcome(checked(::connect(fd, reinterpret_cast<sockaddr*>(&address), size))));
  return 0;
}

int listen_abstract(Words words) {
  if (words.empty()) return 64;
  sockaddr_un address;
  const socklen_t size = abstract_address(address, words[0]);
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (::bind(fd, reinterpret_cast<sockaddr*>(&address), size) != 0 || ::listen(fd, 16) != 0) return 1;
  say("listening");
  for (;;) ::pause();
}

// What one thread may not do, no other may: the filter and the domain belong to all of them, and capabilities are gone from
// each. Prints one line for every thread.
int threads(Words) {
  std::atomic<int> number{0};
  std::vector<std::thread> all;
  for (int i = 0; i < 4; ++i)
    all.emplace_back([&number] {
      const int mine = ++number;
      const long unshared = checked(::syscall(SYS_unshare, 0x10000000 /* CLONE_NEWUSER */));
      const long keys = checked(::syscall(SYS_keyctl, 0, -3, 1));
      const std::string status = read_file("/proc/thread-self/status");
      const bool confined = status.find("CapEff:\t0000000000000000") != std::string::npos && status.find("NoNewPrivs:\t1") != std::string::npos &&
                            status.find("Seccomp:\t2") != std::string::npos;
      say("thread " + std::to_string(mine) + " " + outcome(unshared) + " " + outcome(keys) + (confined ? " confined" : " FREE"));
    });
  for (std::thread& thread : all) thread.join();
  return 0;
}

}  // namespace hostile
