// The entry point of the command, before libc has started: where a verb needs the program to leave its own file (sys/own_program.h)
// it is left here, since the start of libc is what costs most of a second execution (docs/adr/0009). Whatever does not work out is
// left to sys::leave_own_file(), which says why.
//
// Nothing is relocated yet: no tables of pointers, no libc.

#include <elf.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <sys/stat.h>

#include "child/raw.h"
#include "sys/own_program.h"

namespace clawrun {
namespace {

using child::sys;

constexpr std::size_t kMaxPathBytes = 4096;
constexpr std::size_t kMaxVariables = 8192;

bool same(const char* one, const char* other) {
  while (*one != '\0' && *one == *other) ++one, ++other;
  return *one == *other;
}

bool starts_with(const char* text, const char* start) {
  while (*start != '\0' && *text == *start) ++text, ++start;
  return *start == '\0';
}

// Create, run and exec of containers. A word that only looks like one costs an execve(2).
bool wants_to_leave(const char* const* argv) {
  bool verb = false;
  bool exec = false;
  for (const char* const* word = argv + 1; *word != nullptr; ++word) {
    // `exec OPTIONS -- COMMAND` makes a sandbox, whose command is never this program.
    if (same(*word, "--")) return verb && !exec;
    if (verb) continue;
    exec = same(*word, "exec");
    verb = exec || same(*word, "create") || same(*word, "run");
  }
  return verb;
}

bool is_owner(unsigned long euid) {
  struct stat info;
  return euid == 0 || (sys(__NR_newfstatat, AT_FDCWD, "/proc/self/exe", &info, 0) == 0 && info.st_uid == euid);
}

// Appends what stands at `from`, the terminating zero too. Returns the end.
char* append(char* to, const char* from) {
  while ((*to = *from++) != '\0') ++to;
  return to;
}

void execute_from(int program, char** argv, char** envp) {
  char variable[sizeof sys::kOwnPathVariable + 1 + kMaxPathBytes];
  char* value = append(append(variable, sys::kOwnPathVariable), "=");
  const long size = sys(__NR_readlinkat, AT_FDCWD, "/proc/self/exe", value, kMaxPathBytes - 1);
  if (size <= 0 || size == static_cast<long>(kMaxPathBytes) - 1) return;
  value[size] = '\0';
  char* environment[kMaxVariables + 2];
  std::size_t count = 0;
  environment[count++] = variable;
  for (; *envp != nullptr; ++envp) {
    if (starts_with(*envp, sys::kOwnPathVariable) && (*envp)[sizeof sys::kOwnPathVariable - 1] == '=') continue;
    if (count > kMaxVariables) return;
    environment[count++] = *envp;
  }
  environment[count] = nullptr;
  sys(__NR_execveat, program, "", argv, static_cast<char**>(environment), AT_EMPTY_PATH);
}

// `stack` as the kernel lays it out: argc, argv, envp, auxv.
void leave(long* stack) {
  char** argv = reinterpret_cast<char**>(stack + 1);
  char** envp = argv + stack[0] + 1;
  if (stack[0] < 1 || !wants_to_leave(argv)) return;
  char** end = envp;
  while (*end != nullptr) ++end;
  const char* executed = "";
  unsigned long euid = ~0UL;
  for (auto* pair = reinterpret_cast<const Elf64_auxv_t*>(end + 1); pair->a_type != AT_NULL; ++pair) {
    if (pair->a_type == AT_EXECFN) executed = reinterpret_cast<const char*>(pair->a_un.a_val);
    if (pair->a_type == AT_EUID) euid = pair->a_un.a_val;
  }
  if (starts_with(executed, "/dev/fd/") || !is_owner(euid)) return;
  const int tree = static_cast<int>(sys(__NR_open_tree, AT_FDCWD, "/proc/self/exe", OPEN_TREE_CLONE | O_CLOEXEC));
  if (tree < 0) return;
  mount_attr attributes{MOUNT_ATTR_RDONLY, 0, 0, 0};
  if (sys(__NR_mount_setattr, tree, "", AT_EMPTY_PATH, &attributes, sizeof attributes) == 0) execute_from(tree, argv, envp);
  sys(__NR_close, tree);
}

}  // namespace
}  // namespace clawrun

extern "C" __attribute__((visibility("hidden"), used)) void clawrun_before_libc(long* stack) {
  clawrun::leave(stack);
}

// The kernel, or the dynamic loader, enters with the stack pointer at argc, and in one register what libc is to call at its end.
#if defined(__x86_64__)
asm(R"(
  .text
  .globl clawrun_entry
  .type clawrun_entry, @function
clawrun_entry:
  .cfi_startproc
  .cfi_undefined rip
  endbr64
  xor %ebp, %ebp
  mov %rsp, %rbx
  mov %rdx, %r12
  mov %rsp, %rdi
  and $-16, %rsp
  call clawrun_before_libc
  mov %rbx, %rsp
  mov %r12, %rdx
  jmp _start
  .cfi_endproc
  .size clawrun_entry, . - clawrun_entry
)");
#elif defined(__aarch64__)
asm(R"(
  .text
  .globl clawrun_entry
  .type clawrun_entry, %function
clawrun_entry:
  .cfi_startproc
  .cfi_undefined x30
  mov x29, #0
  mov x20, x0
  mov x0, sp
  bl clawrun_before_libc
  mov x0, x20
  b _start
  .cfi_endproc
  .size clawrun_entry, . - clawrun_entry
)");
#endif
