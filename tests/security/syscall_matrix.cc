// Calls every syscall of a table from inside a sandbox and compares the answers with what a seccomp profile promises.
//
// Run inside, static, with the table on standard input. A line is one of
//
//   NR EXPECT [ARG...] [# label]   EXPECT is `allow` or the name of an errno; up to six arguments, decimal or 0x
//   i386 NR EXPECT                 the same through int 0x80 (x86_64 only)
//   NR kernel-lacks                this kernel itself answers ENOSYS to NR
//
// A refused number must return exactly its errno. An allowed one must not be killed by SIGSYS and must not return ENOSYS
// unless the kernel lacks it. Each call is made by a child with a session of its own and a time limit; the arguments are
// such that nothing happens if it is let through: descriptors, pointers and sizes of -1 where no row below says otherwise.
// Prints TAP; exits 0 if all is as promised, 1 if not, 2 if the table is not understood.
#include <fcntl.h>
#include <linux/futex.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <set>
#include <string>
#include <vector>

namespace {

constexpr int kTimeLimitMs = 1000;
constexpr long kAllow = 0;

enum class Entry { kNative, kI386 };

struct Row {
  long number = 0;
  long expected_errno = kAllow;
  Entry entry = Entry::kNative;
  bool has_args = false;
  long args[6] = {-1, -1, -1, -1, -1, -1};
  std::string label;
};

struct Outcome {
  enum Kind : int { kNothing, kReturned, kKilled, kExited, kTimedOut } kind = kNothing;
  long value = 0;  // what the call returned, or the signal
};

// Shared with the child.
struct Shared {
  volatile int returned;
  volatile long value;
  int futex_word;
};

// Inline, so that a vfork child never returns into a frame that its parent still needs.
[[gnu::always_inline]] inline long raw_syscall(long number, const long* args) {
#if defined(__x86_64__)
  long result = 0;
  register long r10 asm("r10") = args[3];
  register long r8 asm("r8") = args[4];
  register long r9 asm("r9") = args[5];
  asm volatile("syscall"
               : "=a"(result)
               : "a"(number), "D"(args[0]), "S"(args[1]), "d"(args[2]), "r"(r10), "r"(r8), "r"(r9)
               : "rcx", "r11", "memory");
  return result;
#elif defined(__aarch64__)
  register long x8 asm("x8") = number;
  register long x0 asm("x0") = args[0];
  register long x1 asm("x1") = args[1];
  register long x2 asm("x2") = args[2];
  register long x3 asm("x3") = args[3];
  register long x4 asm("x4") = args[4];
  register long x5 asm("x5") = args[5];
  asm volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
  return x0;
#else
#error "unknown architecture"
#endif
}

[[gnu::always_inline]] inline long i386_syscall(long number) {
#if defined(__x86_64__)
  long result = 0;
  asm volatile("int $0x80"
               : "=a"(result)
               : "a"(number), "b"(-1L), "c"(-1L), "d"(-1L), "S"(-1L), "D"(-1L)
               : "r8", "r9", "r10", "r11", "memory");
  return static_cast<int>(result);
#else
  static_cast<void>(number);
  return -ENOSYS;
#endif
}

bool is_fork(long number) {
#ifdef SYS_fork
  if (number == SYS_fork || number == SYS_vfork) return true;
#endif
  return number == SYS_clone;
}

// The calls for which -1 everywhere would do something, ask something else, or be answered with ENOSYS by the kernel.
void choose_arguments(Row& row, Shared* shared) {
  if (row.has_args || row.entry == Entry::kI386) return;
  const auto set = [&row](long a, long b = 0, long c = 0, long d = 0) {
    const long chosen[6] = {a, b, c, d, 0, 0};
    memcpy(row.args, chosen, sizeof(chosen));
  };
  switch (row.number) {
    case SYS_clone:
      return set(SIGCHLD);
    case SYS_unshare:
      return set(0);
    case SYS_personality:
      return set(0xffffffff);
    case SYS_socket:
    case SYS_socketpair:
      return set(AF_UNIX, SOCK_STREAM, 0, -1);
    case SYS_ioctl:
      return set(-1, TCGETS, -1);
    case SYS_futex:
      return set(reinterpret_cast<long>(&shared->futex_word), FUTEX_WAKE, 1);  // ENOSYS for an unknown operation
    case SYS_msgget:
      return set(0x7fffff01);  // -1 would make a queue
    case SYS_kill:
    case SYS_tkill:
      return set(0x7fffffff, 0);  // no such process; kill(-1, …) would mean all
    case SYS_tgkill:
      return set(0x7fffffff, 0x7fffffff, 0);
    case SYS_rt_sigqueueinfo:
      return set(0x7fffffff, 0, -1);
    case SYS_rt_tgsigqueueinfo:
      return set(0x7fffffff, 0x7fffffff, 0, -1);
    case SYS_reboot:
      return set(0, 0, 0);  // wrong magic numbers
#ifdef SYS_modify_ldt
    case SYS_modify_ldt:
      return set(0, 0, 0);  // ENOSYS for an unknown function
#endif
    default:
      return;
  }
}

[[noreturn]] void run_child(const Row& row, Shared* shared) {
  setsid();
  const rlimit no_core{0, 0};
  setrlimit(RLIMIT_CORE, &no_core);
  const bool forks = row.entry == Entry::kNative && is_fork(row.number);
  const long zeros[6] = {};
  const long result = row.entry == Entry::kNative ? raw_syscall(row.number, row.args) : i386_syscall(row.number);
  if (forks && result == 0) raw_syscall(SYS_exit_group, zeros);
  shared->value = result;
  shared->returned = 1;
  raw_syscall(SYS_exit_group, zeros);
  abort();
}

long now_ms() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (time.tv_sec * 1000) + (time.tv_nsec / 1'000'000);
}

Outcome wait_for(pid_t child, const Shared* shared) {
  const long deadline = now_ms() + kTimeLimitMs;
  int status = 0;
  bool timed_out = false;
  for (;;) {
    const pid_t done = waitpid(child, &status, WNOHANG);
    if (done == child || (done < 0 && errno != EINTR)) break;
    if (now_ms() > deadline) {
      timed_out = true;
      kill(child, SIGKILL);
      waitpid(child, &status, 0);
      break;
    }
    const timespec pause{0, 100'000};
    nanosleep(&pause, nullptr);
  }
  kill(-child, SIGKILL);  // what a fork left in its session
  if (shared->returned != 0) return {Outcome::kReturned, shared->value};
  if (timed_out) return {Outcome::kTimedOut, 0};
  if (WIFSIGNALED(status)) return {Outcome::kKilled, WTERMSIG(status)};
  return {Outcome::kExited, 0};
}

Outcome call(Row row, Shared* shared) {
  memset(shared, 0, sizeof(*shared));
  choose_arguments(row, shared);
  const pid_t child = fork();
  if (child < 0) return {};
  if (child == 0) run_child(row, shared);
  return wait_for(child, shared);
}

std::string errno_text(long value) {
  const char* name = strerrorname_np(static_cast<int>(value));
  return name != nullptr ? name : std::to_string(value);
}

std::string describe(const Outcome& outcome) {
  switch (outcome.kind) {
    case Outcome::kNothing:
      return "was not called: fork failed";
    case Outcome::kReturned:
      return outcome.value < 0 && outcome.value > -4096 ? errno_text(-outcome.value)
                                                        : "returned " + std::to_string(outcome.value);
    case Outcome::kKilled:
      return "killed by " + std::string(sigabbrev_np(static_cast<int>(outcome.value)));
    case Outcome::kExited:
      return "ended the process";
    case Outcome::kTimedOut:
      return "blocked";
  }
  return {};
}

bool is_as_promised(const Row& row, const Outcome& outcome, bool kernel_lacks) {
  if (outcome.kind == Outcome::kNothing) return false;
  if (row.expected_errno != kAllow) {
    // A kernel without the 32-bit entry kills with SIGSEGV: refused even harder.
    if (row.entry == Entry::kI386 && outcome.kind == Outcome::kKilled && outcome.value == SIGSEGV) return true;
    return outcome.kind == Outcome::kReturned && outcome.value == -row.expected_errno;
  }
  if (outcome.kind == Outcome::kKilled) return outcome.value != SIGSYS;
  if (outcome.kind == Outcome::kReturned && outcome.value == -ENOSYS) return kernel_lacks;
  return true;
}

bool parse_number(const char* word, long& value) {
  char* end = nullptr;
  errno = 0;
  const bool hex = strncmp(word, "0x", 2) == 0;
  value = hex ? static_cast<long>(strtoul(word, &end, 16)) : strtol(word, &end, 10);
  return errno == 0 && end != word && *end == '\0';
}

bool parse_expectation(const char* word, long& expected) {
  if (strcmp(word, "allow") == 0) {
    expected = kAllow;
    return true;
  }
  for (int value = 1; value < 256; ++value) {
    const char* name = strerrorname_np(value);
    if (name != nullptr && strcmp(word, name) == 0) {
      expected = value;
      return true;
    }
  }
  return false;
}

struct Table {
  std::vector<Row> rows;
  std::set<long> lacking;
};

bool parse_line(char* line, Table& table) {
  Row row;
  if (char* hash = strchr(line, '#'); hash != nullptr) {
    row.label = hash + 1 + strspn(hash + 1, " \t");
    row.label.resize(strcspn(row.label.c_str(), "\n"));
    *hash = '\0';
  }
  std::vector<char*> words;
  for (char* word = strtok(line, " \t\n"); word != nullptr; word = strtok(nullptr, " \t\n")) words.push_back(word);
  if (words.empty()) return true;
  if (strcmp(words[0], "i386") == 0) {
    row.entry = Entry::kI386;
    words.erase(words.begin());
  }
  if (words.size() < 2 || words.size() > 8 || !parse_number(words[0], row.number)) return false;
  if (strcmp(words[1], "kernel-lacks") == 0) {
    table.lacking.insert(row.number);
    return words.size() == 2;
  }
  if (!parse_expectation(words[1], row.expected_errno)) return false;
  row.has_args = words.size() > 2;
  if (row.has_args) memset(row.args, 0, sizeof(row.args));
  for (std::size_t i = 2; i < words.size(); ++i)
    if (!parse_number(words[i], row.args[i - 2])) return false;
  table.rows.push_back(row);
  return true;
}

bool read_table(Table& table) {
  char line[512];
  for (int number = 1; fgets(line, sizeof(line), stdin) != nullptr; ++number) {
    const std::string kept = line;
    if (parse_line(line, table)) continue;
    fprintf(stderr, "syscall_matrix: line %d is not understood: %s\n", number, kept.c_str());
    return false;
  }
  return true;
}

}  // namespace

int main() {
  Table table;
  if (!read_table(table)) return 2;
  if (table.rows.empty()) {
    fprintf(stderr, "syscall_matrix: no table on standard input\n");
    return 2;
  }
  void* memory = mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return 2;
  auto* shared = static_cast<Shared*>(memory);
  printf("1..%zu\n", table.rows.size());
  int mismatches = 0;
  int index = 0;
  for (const Row& row : table.rows) {
    fflush(stdout);  // or the children would write it again
    const Outcome outcome = call(row, shared);
    const bool good = is_as_promised(row, outcome, table.lacking.contains(row.number));
    if (!good) ++mismatches;
    printf("%sok %d - %ssyscall %ld%s%s: promised %s, got %s\n", good ? "" : "not ", ++index,
           row.entry == Entry::kI386 ? "i386 " : "", row.number, row.label.empty() ? "" : " ", row.label.c_str(),
           row.expected_errno == kAllow ? "allow" : errno_text(row.expected_errno).c_str(), describe(outcome).c_str());
  }
  printf("# %zu calls, %d not as promised, %zu that the kernel lacks\n", table.rows.size(), mismatches, table.lacking.size());
  return mismatches == 0 ? 0 : 1;
}
