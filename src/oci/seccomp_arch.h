// The architectures that a seccomp profile may list, and the numbers that their kernels know a call by.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "seccomp/table.h"

namespace clawrun::oci {

struct SeccompArch {
  std::string_view name;       // SCMP_ARCH_*
  seccomp::Arch machine;       // whose kernel serves it
  std::uint32_t audit_arch;    // AUDIT_ARCH_*; x32 shares that of x86_64
  std::uint32_t libseccomp;    // libseccomp's token for it
  std::uint32_t first_number;  // seccomp::kX32Bit for x32
  bool low_half_only;          // arguments are 32 bits wide
  bool has_multiplexed_calls;  // socketcall(2) and ipc(2)
};

// All that the kernels of `machine` serve, the native one first.
std::vector<SeccompArch> machine_arches(seccomp::Arch machine);

// The ones that `words` list, each once, the native one first and always there. A word that is no architecture is an error;
// one of another machine is passed over.
Result<std::vector<SeccompArch>> listed_arches(const std::vector<std::string>& words, seccomp::Arch machine);

// Every SCMP_ARCH_* that is accepted, sorted.
std::vector<std::string_view> known_seccomp_arches();

// A call that (also) goes through socketcall(2) or ipc(2): its first argument, cut by `mask`, says which is meant.
struct Multiplexed {
  std::uint32_t number = 0;
  std::uint32_t call = 0;
  std::uint32_t mask = 0;
};

struct CallNumbers {
  seccomp::NameStatus status = seccomp::NameStatus::kUnknown;
  std::optional<std::uint32_t> direct;
  std::optional<Multiplexed> multiplexed;
};

CallNumbers call_numbers(const SeccompArch& arch, std::string_view name);

}  // namespace clawrun::oci
