// deny SYSCALL[,SYSCALL…] [--errno N] -- COMMAND [ARG…]: runs a command on a kernel that does not have these system calls.
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace {

struct Name {
  std::string_view name;
  unsigned number;
};

#define NAMED(call)    \
  Name {               \
#call, __NR_##call \
  }
constexpr std::array kNames = {
    NAMED(bpf),           NAMED(clone3),          NAMED(close_range),
    NAMED(epoll_pwait2),  NAMED(execveat),        NAMED(faccessat2),
    NAMED(fsconfig),      NAMED(fsmount),         NAMED(fsopen),
    NAMED(getrandom),     NAMED(keyctl),          NAMED(landlock_add_rule),
    NAMED(memfd_create),  NAMED(mount),           NAMED(landlock_create_ruleset),
    NAMED(mount_setattr), NAMED(move_mount),      NAMED(landlock_restrict_self),
    NAMED(open_tree),     NAMED(openat2),         NAMED(pidfd_getfd),
    NAMED(pidfd_open),    NAMED(pivot_root),      NAMED(pidfd_send_signal),
    NAMED(prlimit64),     NAMED(process_madvise), NAMED(seccomp),
    NAMED(setns),         NAMED(statx),           NAMED(umount2),
    NAMED(unshare),       NAMED(userfaultfd),     NAMED(waitid),
};
#undef NAMED

#if defined(__x86_64__)
constexpr unsigned kArchitecture = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
constexpr unsigned kArchitecture = AUDIT_ARCH_AARCH64;
#else
#error "x86_64 and aarch64 only"
#endif

[[noreturn]] void leave(const std::string& message) {
  const std::string line = "deny: " + message + "\n";
  [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, line.data(), line.size());
  _exit(99);
}

std::vector<unsigned> numbers_of(std::string_view list) {
  std::vector<unsigned> numbers;
  while (!list.empty()) {
    const std::size_t comma = list.find(',');
    const std::string_view word = list.substr(0, comma);
    list = comma == std::string_view::npos ? std::string_view{} : list.substr(comma + 1);
    const Name* found = nullptr;
    for (const Name& name : kNames) {
      if (name.name == word) found = &name;
    }
    if (found == nullptr) leave("no system call \"" + std::string(word) + "\" in the table of tests/fault/deny.cc");
    numbers.push_back(found->number);
  }
  return numbers;
}

// Other architectures' entry points stay as they are: this is a test's helper, not a wall.
std::vector<sock_filter> filter_of(const std::vector<unsigned>& numbers, unsigned errno_value) {
  std::vector<sock_filter> code = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, arch)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kArchitecture, 1, 0),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
  };
  for (const unsigned number : numbers) {
    code.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1));
    code.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | errno_value));
  }
  code.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
  return code;
}

}  // namespace

int main(int argc, char** argv) {
  constexpr const char* kUsage = "usage: deny SYSCALL[,SYSCALL...] [--errno N] -- COMMAND [ARG...]";
  unsigned errno_value = ENOSYS;
  if (argc < 4) leave(kUsage);
  int next = 2;
  if (std::strcmp(argv[next], "--errno") == 0 && argc > next + 1) {
    errno_value = static_cast<unsigned>(std::strtoul(argv[next + 1], nullptr, 10)) & SECCOMP_RET_DATA;
    next += 2;
  }
  if (next + 1 >= argc || std::strcmp(argv[next], "--") != 0) leave(kUsage);

  std::vector<sock_filter> code = filter_of(numbers_of(argv[1]), errno_value);
  const sock_fprog program{static_cast<unsigned short>(code.size()), code.data()};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) leave(std::string("no_new_privs: ") + std::strerror(errno));
  // prctl and not seccomp(2), which may itself be on the list: the filter counts from this call's return on.
  if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) leave(std::string("seccomp: ") + std::strerror(errno));
  execvp(argv[next + 1], argv + next + 1);
  leave(std::string(argv[next + 1]) + ": " + std::strerror(errno));
}
