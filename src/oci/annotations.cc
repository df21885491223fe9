#include "oci/annotations.h"

#include <linux/bpf_common.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "base/text.h"

namespace clawrun::oci {

namespace {

Failure wrong(std::string_view what) {
  return fail(ErrorKind::kInvalid, std::string(what));
}

template <std::string Annotated::*Member>
Result<> take_path(const std::string& value, Annotated& into) {
  if (!value.starts_with('/')) return wrong(quoted(value) + " is not an absolute path");
  into.*Member = value;
  return {};
}

template <bool Annotated::*Member>
Result<> take_switch(const std::string& value, Annotated& into) {
  if (value != "0" && value != "1") return wrong(quoted(value) + " is neither 1 nor 0");
  into.*Member = value == "1";
  return {};
}

// mount(8), "Filesystem-independent mount options".
Result<> take_mount_context(const std::string& value, Annotated& into) {
  constexpr std::string_view kTypes[] = {"context", "fscontext", "defcontext", "rootcontext"};
  if (std::ranges::find(kTypes, value) == std::end(kTypes))
    return wrong(quoted(value) + " is none of context, fscontext, defcontext, rootcontext");
  into.mount_context = value;
  return {};
}

// RFC 4648, section 4, with the padding, and with no bits left over that nobody would see.
Result<std::string> from_base64(std::string_view text) {
  constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  const auto bad = [] { return wrong("is not base64"); };
  if (text.size() % 4 != 0) return bad();
  const std::size_t padding = text.ends_with("==") ? 2 : text.ends_with('=') ? 1 : 0;
  text.remove_suffix(padding);
  std::string bytes;
  std::uint32_t bits = 0;
  unsigned count = 0;
  for (const char c : text) {
    const std::size_t digit = kDigits.find(c);
    if (digit == std::string_view::npos) return bad();
    bits = bits << 6U | static_cast<std::uint32_t>(digit);
    count += 6;
    if (count < 8) continue;
    count -= 8;
    bytes += static_cast<char>(bits >> count & 0xffU);
  }
  if ((bits & ((1U << count) - 1)) != 0) return bad();
  return bytes;
}

Result<> take_seccomp_program(const std::string& value, Annotated& into) {
  const std::string bytes = TRY(from_base64(value));
  if (bytes.empty() || bytes.size() % sizeof(sock_filter) != 0 || bytes.size() / sizeof(sock_filter) > BPF_MAXINSNS)
    return wrong("must be 1 to " + std::to_string(BPF_MAXINSNS) + " instructions of " + std::to_string(sizeof(sock_filter)) +
                 " bytes each; it has " + std::to_string(bytes.size()) + " bytes");
  auto& program = into.seccomp_program.emplace(bytes.size() / sizeof(sock_filter));
  std::memcpy(program.data(), bytes.data(), bytes.size());
  return {};
}

struct Row {
  std::string_view name;
  Result<> (*take)(const std::string& value, Annotated& into);
};

constexpr Row kRows[] = {
    {"run.oci.hooks.stderr", take_path<&Annotated::hooks_stderr>},
    {"run.oci.hooks.stdout", take_path<&Annotated::hooks_stdout>},
    {"run.oci.keep_original_groups", take_switch<&Annotated::keeps_groups>},
    {"run.oci.mount_context_type", take_mount_context},
    {"run.oci.pidfd_receiver", take_path<&Annotated::pidfd_receiver>},
    {"run.oci.seccomp.receiver", take_path<&Annotated::seccomp_receiver>},
    {"run.oci.seccomp_bpf_data", take_seccomp_program},
    {"run.oci.seccomp_fail_unknown_syscall", take_switch<&Annotated::fails_unknown_syscall>},
};

// What crun does with them is not done here: a container that asks for it would be another one than was meant.
struct RefusedRow {
  std::string_view name;
  std::string_view allowed;  // the value that asks for nothing
  std::string_view why;
};

constexpr RefusedRow kRefused[] = {
    {"run.oci.delegate-cgroup", "", "the container's process is in the cgroup that has the limits; there is none below it"},
    {"run.oci.handler", "clawrun", "only clawrun itself is a handler: there are no krun and wasm ones"},
    {"run.oci.seccomp.plugins", "", "plugins would run as part of the runtime; linux.seccomp.listenerPath names an agent"},
    {"run.oci.systemd.force_cgroup_v1", "", "a container's hierarchies are those of the host; mount name=systemd there"},
    {"run.oci.systemd.subgroup", "", "the container's process is in the scope itself; there is no cgroup below it"},
    {"run.oci.timens_offset", "", "the offsets are in linux.timeOffsets since version 1.1 of the specification"},
};

// Others than crun's.
constexpr std::string_view kUnsafe[] = {"org.criu.config", "org.systemd.property.", "run.clawrun.landlock"};

const std::string* find(const Config& config, std::string_view name) {
  const auto found = config.annotations.find(std::string(name));
  return found == config.annotations.end() ? nullptr : &found->second;
}

std::string member(std::string_view name) {
  return "annotations[" + quoted(name) + "]";
}

}  // namespace

Result<Annotated> annotations_of(const Config& config) {
  for (const RefusedRow& row : kRefused)
    if (const std::string* value = find(config, row.name); value != nullptr && *value != row.allowed)
      return fail(ErrorKind::kUnsupported,
                  member(row.name) + ": " + quoted(*value) + " is not supported: " + std::string(row.why));
  Annotated annotated;
  for (const Row& row : kRows) {
    const std::string* value = find(config, row.name);
    if (value == nullptr) continue;
    if (const auto taken = row.take(*value, annotated); !taken) return while_doing(member(row.name), taken.error());
  }
  return annotated;
}

std::vector<std::string_view> unsafe_annotations() {
  std::vector<std::string_view> names(std::begin(kUnsafe), std::end(kUnsafe));
  for (const Row& row : kRows) names.push_back(row.name);
  std::ranges::sort(names);
  return names;
}

}  // namespace clawrun::oci
