#include <sys/resource.h>

#include <algorithm>

#include "base/text.h"
#include "plan/internal.h"

namespace clawrun::plan {

namespace {

constexpr std::uint64_t kDefaultNofile = 1024;
constexpr std::uint64_t kDefaultNproc = 512;

}  // namespace

Result<> compile_limits(Plan& plan, const spec::SandboxSpec& spec, const Inputs& inputs) {
  const auto set = [&](int resource, std::uint64_t soft, std::uint64_t hard) { plan.rlimits.push_back({resource, soft, hard}); };
  const struct {
    const char* option;
    int resource;
    std::optional<std::uint64_t> value;
    std::optional<std::uint64_t> otherwise;
    std::uint64_t hard;
  } rows[] = {
      {"--nofile", RLIMIT_NOFILE, spec.nofile, kDefaultNofile, inputs.hard_limits.nofile},
      // Counted per user namespace since 5.14; before that, all of the caller's own processes would count.
      {"--nproc", RLIMIT_NPROC, spec.nproc,
       inputs.host.privileged || inputs.host.kernel.at_least(5, 14) ? std::optional(kDefaultNproc) : std::nullopt,
       inputs.hard_limits.nproc},
      {"--fsize", RLIMIT_FSIZE, spec.fsize_bytes, std::nullopt, inputs.hard_limits.fsize},
      {"--stack", RLIMIT_STACK, spec.stack_bytes, std::nullopt, inputs.hard_limits.stack},
      {"--address-space", RLIMIT_AS, spec.address_space_bytes, std::nullopt, inputs.hard_limits.address_space},
  };
  set(RLIMIT_CORE, 0, 0);
  for (const auto& row : rows) {
    if (row.value && *row.value > row.hard)
      return fail(ErrorKind::kUnsupported, std::string(row.option) + ": " + std::to_string(*row.value) +
                                               " is above the caller's own hard limit of " + std::to_string(row.hard) +
                                               ", which only the host's administrator raises");
    if (row.value)
      set(row.resource, *row.value, *row.value);
    else if (row.otherwise)
      set(row.resource, std::min(*row.otherwise, row.hard), std::min(*row.otherwise, row.hard));
  }
  if (spec.cpu_time_s) {
    if (*spec.cpu_time_s > inputs.hard_limits.cpu)
      return fail(ErrorKind::kUnsupported,
                  "--cpu-time: above the caller's own hard limit of " + std::to_string(inputs.hard_limits.cpu) + " s");
    // XCPU at the limit, KILL a second later for what ignores it: setrlimit(2)
    set(RLIMIT_CPU, *spec.cpu_time_s, std::min(*spec.cpu_time_s + 1, inputs.hard_limits.cpu));
  }
  return {};
}

}  // namespace clawrun::plan
