// What presses on limits inside a sandbox: `vm-load VERB [WORD...]`. It prints what happened and judges nothing.

#include <fcntl.h>
#include <grp.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

namespace {

using Words = std::span<char* const>;
using Clock = std::chrono::steady_clock;

constexpr std::size_t kMib = 1 << 20;
constexpr std::size_t kPage = 4096;

long number(const char* word) {
  return std::strtol(word, nullptr, 10);
}

Clock::time_point deadline(const char* seconds) {
  return Clock::now() + std::chrono::milliseconds(static_cast<long>(std::strtod(seconds, nullptr) * 1000));
}

const char* error_name(int error) {
  return error == 0 ? "OK" : strerrorname_np(error);
}

// Said at once: whoever is killed has no buffer to leave.
[[gnu::format(printf, 1, 2)]] void say(const char* format, ...) {
  va_list values;
  va_start(values, format);
  std::vprintf(format, values);
  va_end(values);
  std::fflush(stdout);
}

void touch(std::size_t mib) {
  for (std::size_t i = 0; i < mib; ++i) {
    void* memory = ::mmap(nullptr, kMib, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
      say("mmap %s\n", error_name(errno));
      std::exit(3);
    }
    for (std::size_t at = 0; at < kMib; at += kPage) static_cast<volatile char*>(memory)[at] = 1;
  }
}

// Forks children that wait, at most so many; how many there are then.
long fork_waiting(long most) {
  long made = 0;
  for (; made < most; ++made) {
    const pid_t pid = ::fork();
    if (pid == 0)
      for (;;) ::pause();
    if (pid < 0) break;
  }
  return made;
}

// memory MIB: touches so much.
int memory(Words words) {
  touch(static_cast<std::size_t>(number(words[0])));
  say("touched %s\n", words[0]);
  return 0;
}

// family MIB: a child does the same; this process outlives it, unless it is killed with it.
int family(Words words) {
  const pid_t pid = ::fork();
  if (pid == 0) return memory(words);
  int status = 0;
  ::waitpid(pid, &status, 0);
  say("child %d\n", WIFSIGNALED(status) ? WTERMSIG(status) : 0);
  ::usleep(500'000);
  say("survived\n");
  return 0;
}

// forks MOST
int forks(Words words) {
  const long made = fork_waiting(number(words[0]));
  say("forked %ld %s\n", made, error_name(errno));
  return 0;
}

// crowd MIB MOST: fills itself and forks, then stays.
int crowd(Words words) {
  touch(static_cast<std::size_t>(number(words[0])));
  const long made = fork_waiting(number(words[1]));
  say("ready %ld\n", made);
  for (;;) ::pause();
}

// spin SECONDS: of the clock, not of the processor. How often it went round is a measure of what it got.
int spin(Words words) {
  const auto end = deadline(words[0]);
  unsigned long rounds = 0;
  while (Clock::now() < end) ++rounds;
  say("rounds %lu\n", rounds);
  return 0;
}

enum class Direction { kRead, kWrite };

// Past the page cache, so that each call waits for the disk; from the start again at 16 MiB.
int transfer(Words words, Direction direction) {
  alignas(kPage) static char block[64 * 1024];
  const std::size_t size = static_cast<std::size_t>(number(words[1]));
  const int fd = ::open(words[0], (direction == Direction::kRead ? O_RDONLY : O_WRONLY | O_CREAT) | O_DIRECT, 0600);
  if (fd < 0 || size > sizeof block) {
    say("open %s\n", error_name(errno));
    return 3;
  }
  const auto start = Clock::now();
  const auto end = deadline(words[2]);
  unsigned long bytes = 0;
  unsigned long calls = 0;
  for (off_t at = 0; Clock::now() < end; at = (at + static_cast<off_t>(size)) % static_cast<off_t>(16 * kMib)) {
    const ssize_t done = direction == Direction::kRead ? ::pread(fd, block, size, at) : ::pwrite(fd, block, size, at);
    if (done <= 0) {
      say("transfer %s\n", error_name(errno));
      return 3;
    }
    bytes += static_cast<unsigned long>(done);
    ++calls;
  }
  const std::chrono::duration<double> took = Clock::now() - start;
  say("bytes %lu calls %lu seconds %.3f\n", bytes, calls, took.count());
  return 0;
}

// write FILE BLOCK SECONDS, read FILE BLOCK SECONDS
int write_file(Words words) {
  return transfer(words, Direction::kWrite);
}
int read_file(Words words) {
  return transfer(words, Direction::kRead);
}

// open PATH...: for reading and for writing.
int open_each(Words words) {
  for (const char* path : words) {
    for (const int flags : {O_RDONLY, O_WRONLY}) {
      const int fd = ::open(path, flags | O_NONBLOCK | O_NOCTTY);
      say("%s %s %s\n", path, flags == O_RDONLY ? "r" : "w", error_name(fd < 0 ? errno : 0));
      if (fd >= 0) ::close(fd);
    }
  }
  return 0;
}

// open-twice PATH...: the second time when SIGUSR1 has come.
int open_twice(Words words) {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGUSR1);
  sigprocmask(SIG_BLOCK, &signals, nullptr);
  open_each(words);
  say("again at USR1\n");
  int signal = 0;
  sigwait(&signals, &signal);
  return open_each(words);
}

// rmdir PATH SECONDS: until it has removed the directory that somebody else is just making.
int remove_directory(Words words) {
  const auto end = deadline(words[1]);
  while (Clock::now() < end) {
    if (::rmdir(words[0]) == 0) {
      say("removed\n");
      return 0;
    }
  }
  say("never there\n");
  return 1;
}

// as GROUP UID WORD...: executes the words as this user, from this cgroup ("-": where it is). The move comes first: it needs
// the rights that are then given up.
int become(Words words) {
  if (std::strcmp(words[0], "-") != 0) {
    const int fd = ::open((std::string(words[0]) + "/cgroup.procs").c_str(), O_WRONLY | O_CLOEXEC);
    if (fd < 0 || ::write(fd, "0", 1) != 1) {
      say("as: %s %s\n", words[0], error_name(errno));
      return 64;
    }
  }
  const auto id = static_cast<uid_t>(number(words[1]));
  if (id != 0 && (::setgroups(0, nullptr) != 0 || ::setresgid(id, id, id) != 0 || ::setresuid(id, id, id) != 0)) {
    say("as: %s %s\n", words[1], error_name(errno));
    return 64;
  }
  ::execvp(words[2], words.data() + 2);
  say("as: %s %s\n", words[2], error_name(errno));
  return 64;
}

// wait
int wait_for_ever(Words) {
  say("waiting\n");
  for (;;) ::pause();
}

struct Verb {
  std::string_view name;
  std::size_t words;
  int (*run)(Words);
};

constexpr Verb kVerbs[] = {{"memory", 1, memory},
                           {"family", 1, family},
                           {"forks", 1, forks},
                           {"crowd", 2, crowd},
                           {"spin", 1, spin},
                           {"write", 3, write_file},
                           {"read", 3, read_file},
                           {"open", 1, open_each},
                           {"open-twice", 1, open_twice},
                           {"rmdir", 2, remove_directory},
                           {"as", 3, become},
                           {"wait", 0, wait_for_ever}};

}  // namespace

int main(int argc, char** argv) {
  for (const Verb& verb : kVerbs) {
    if (argc >= 2 && verb.name == argv[1] && static_cast<std::size_t>(argc - 2) >= verb.words)
      return verb.run(Words(argv + 2, static_cast<std::size_t>(argc - 2)));
  }
  std::fprintf(stderr, "vm-load: no such verb, or too few words\n");
  return 64;
}
