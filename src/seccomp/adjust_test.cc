#include "seccomp/adjust.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>

#include <cerrno>

#include "seccomp/builtin.h"
#include "seccomp/interpret.h"
#include "seccomp/table.h"

namespace clawrun::seccomp {

namespace {

std::uint32_t asked(const std::vector<sock_filter>& filter, const char* call, std::uint64_t a0, std::uint64_t a1 = 0,
                    std::uint64_t a2 = 0, std::uint64_t a3 = 0) {
  const Compiled compiled{.name = "test", .filters = {filter}};
  seccomp_data data{};
  data.nr = syscall_number(kNativeArch, call).number;
  data.arch = audit_arch(kNativeArch);
  data.args[0] = a0;
  data.args[1] = a1;
  data.args[2] = a2;
  data.args[3] = a3;
  return decide(compiled, data).value();
}

constexpr std::uint32_t kRefused = SECCOMP_RET_ERRNO | EPERM;

}  // namespace

TEST_CASE("the parent-death signal cannot be turned off, by any entry") {
  const auto filter = keep_parent_death_signal();
  CHECK(asked(filter, "prctl", PR_SET_PDEATHSIG) == kRefused);
  CHECK(asked(filter, "prctl", PR_SET_NAME) == SECCOMP_RET_ALLOW);
  CHECK(asked(filter, "read", PR_SET_PDEATHSIG) == SECCOMP_RET_ALLOW);
  seccomp_data other{};
  other.arch = AUDIT_ARCH_I386;
  CHECK(decide(Compiled{.name = "test", .filters = {filter}}, other).value() == kRefused);
}

TEST_CASE("no call gives a file a set-ID bit") {
  const auto filter = refuse_set_id_files();
  CHECK(asked(filter, "fchmod", 3, 04755) == kRefused);
  CHECK(asked(filter, "fchmod", 3, 0755) == SECCOMP_RET_ALLOW);
  CHECK(asked(filter, "fchmodat", 3, 0, 02755) == kRefused);
  CHECK(asked(filter, "mknodat", 3, 0, 0106755) == kRefused);
  CHECK(asked(filter, "openat", 3, 0, O_CREAT | O_WRONLY, 04777) == kRefused);
  CHECK(asked(filter, "openat", 3, 0, O_TMPFILE | O_WRONLY, 04777) == kRefused);
  CHECK(asked(filter, "openat", 3, 0, O_DIRECTORY, 04777) == SECCOMP_RET_ALLOW);
  CHECK(asked(filter, "openat", 3, 0, O_CREAT, 0666) == SECCOMP_RET_ALLOW);
  CHECK(asked(filter, "openat2", 3) == (SECCOMP_RET_ERRNO | ENOSYS));
  CHECK(asked(filter, "execve", 04777, 04777, 04777) == SECCOMP_RET_ALLOW);
}

TEST_CASE("every shipped profile lets read pass, which the start relies on") {
  for (const BuiltinProfile& builtin : builtin_profiles()) {
    CAPTURE(builtin.name);
    seccomp_data data{};
    data.nr = syscall_number(kNativeArch, "read").number;
    data.arch = audit_arch(kNativeArch);
    CHECK(decide(to_compiled(builtin), data).value() == SECCOMP_RET_ALLOW);
  }
}

}  // namespace clawrun::seccomp
