#include <unistd.h>

#include <limits>

#include "base/text.h"
#include "cli/oci_functions.h"
#include "cli/oci_values.h"
#include "sys/sys.h"

namespace clawrun::cli {

namespace {

using oci::Resources;

constexpr auto kMaxSigned = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());

oci::Cpu& cpu_of(Resources& resources) {
  if (!resources.cpu) resources.cpu.emplace();
  return *resources.cpu;
}

oci::Memory& memory_of(Resources& resources) {
  if (!resources.memory) resources.memory.emplace();
  return *resources.memory;
}

// 0 is no change, as with runc and with what Docker sends, except where 0 is a value of its own.
enum class Zero : std::uint8_t { kUnset, kValue };

template <std::optional<std::uint64_t> oci::Cpu::*kMember, Zero kZero = Zero::kUnset>
Result<> set_unsigned(Resources& resources, std::string_view text) {
  const std::uint64_t number = TRY(parse_unsigned(text, kMaxSigned));
  if (number != 0 || kZero == Zero::kValue) cpu_of(resources).*kMember = number;
  return {};
}

template <std::optional<std::int64_t> oci::Cpu::*kMember, Zero kZero = Zero::kUnset>
Result<> set_signed(Resources& resources, std::string_view text) {
  const std::int64_t number = TRY(parse_signed(text));
  if (number != 0 || kZero == Zero::kValue) cpu_of(resources).*kMember = number;
  return {};
}

template <std::string oci::Cpu::*kMember>
Result<> set_text(Resources& resources, std::string_view text) {
  if (!text.empty()) cpu_of(resources).*kMember = text;
  return {};
}

template <std::optional<std::int64_t> oci::Memory::*kMember>
Result<> set_memory(Resources& resources, std::string_view text) {
  const std::int64_t bytes = TRY(parse_limit(text));
  if (bytes != 0) memory_of(resources).*kMember = bytes;
  return {};
}

Result<> set_pids(Resources& resources, std::string_view text) {
  const std::int64_t number = TRY(parse_signed(text));
  if (number != 0) resources.pids_limit = number;
  return {};
}

Result<> set_idle(Resources& resources, std::string_view text) {
  const std::uint64_t idle = TRY(parse_unsigned(text, 1));
  cpu_of(resources).idle = static_cast<std::int64_t>(idle);
  return {};
}

Result<> set_weight(Resources& resources, std::string_view text) {
  const std::uint64_t weight = TRY(parse_unsigned(text, 1000));
  if (weight == 0) return {};
  if (!resources.block_io) resources.block_io.emplace();
  resources.block_io->weight = static_cast<std::uint16_t>(weight);
  return {};
}

struct Setter {
  std::string_view name;
  Result<> (*set)(Resources& resources, std::string_view text);
};

constexpr Setter kSetters[] = {
    {"blkio-weight", set_weight},
    {"cpu-period", set_unsigned<&oci::Cpu::period>},
    {"cpu-quota", set_signed<&oci::Cpu::quota>},
    {"cpu-burst", set_unsigned<&oci::Cpu::burst, Zero::kValue>},
    {"cpu-share", set_unsigned<&oci::Cpu::shares>},
    {"cpu-rt-period", set_unsigned<&oci::Cpu::realtime_period>},
    {"cpu-rt-runtime", set_signed<&oci::Cpu::realtime_runtime>},
    {"cpuset-cpus", set_text<&oci::Cpu::cpus>},
    {"cpuset-mems", set_text<&oci::Cpu::mems>},
    {"cpu-idle", set_idle},
    {"memory", set_memory<&oci::Memory::limit>},
    {"memory-reservation", set_memory<&oci::Memory::reservation>},
    {"memory-swap", set_memory<&oci::Memory::swap>},
    {"kernel-memory", set_memory<&oci::Memory::kernel>},
    {"kernel-memory-tcp", set_memory<&oci::Memory::kernel_tcp>},
    {"pids-limit", set_pids},
};

// Opening /dev/stdin instead would fail for a socket, and for the pipe of another user.
Result<std::string> read_input() {
  std::string text;
  char buffer[4096];
  for (;;) {
    const ssize_t size = ::read(STDIN_FILENO, buffer, sizeof buffer);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return fail_errno("reading standard input");
    if (size == 0) return text;
    text.append(buffer, static_cast<std::size_t>(size));
    if (text.size() > oci::kMaxConfigBytes) return fail(ErrorKind::kInvalid, "standard input is too large");
  }
}

Result<Resources> read_resources(const std::string& from) {
  const auto text = from == "-" ? read_input() : sys::read_file(from, oci::kMaxConfigBytes);
  if (!text) return while_doing("--resources", text.error());
  return oci::parse_resources(*text);
}

Result<> apply(Resources& resources, std::string_view name, std::string_view value) {
  for (const Setter& setter : kSetters) {
    if (setter.name != name) continue;
    if (auto set = setter.set(resources, value); !set) return while_doing("invalid value for " + std::string(name), set.error());
  }
  return {};
}

}  // namespace

Result<int> oci_update(const engine::Runtime& runtime, const OciWords& words) {
  engine::UpdateOptions options;
  if (const std::string from = words.value("resources"); !from.empty()) options.resources = TRY(read_resources(from));
  for (const auto& [name, value] : words.options) TRY(apply(options.resources, name, value));
  options.l3_cache_schema = words.value("l3-cache-schema");
  options.mem_bw_schema = words.value("mem-bw-schema");
  TRY(engine::update(runtime, words.operands.front(), options));
  return 0;
}

}  // namespace clawrun::cli
