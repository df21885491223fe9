#include <optional>

#include "base/text.h"
#include "cli/message.h"
#include "cli/oci_functions.h"
#include "cli/oci_owner.h"
#include "cli/oci_values.h"
#include "cli/output.h"
#include "report/containers.h"

namespace clawrun::cli {

namespace {

// More descriptors than a process can have: RLIMIT_NOFILE's largest value, fs.nr_open.
constexpr std::uint64_t kMostDescriptors = 1U << 30U;

Result<engine::CreateOptions> create_options(const OciWords& words) {
  engine::CreateOptions options;
  options.bundle = words.value("bundle");
  options.config = words.value("config");
  options.console_socket = words.value("console-socket");
  options.pidfd_socket = words.value("pidfd-socket");
  options.pid_file = words.value("pid-file");
  options.no_pivot = words.on("no-pivot");
  options.no_new_keyring = words.on("no-new-keyring");
  const std::uint64_t preserved = TRY(unsigned_option(words, "preserve-fds", kMostDescriptors));
  options.preserve_fds = static_cast<unsigned>(preserved);
  return options;
}

std::optional<bool> switch_option(const OciWords& words, std::string_view name) {
  if (!words.has(name)) return std::nullopt;
  return words.on(name);
}

Result<std::vector<std::uint32_t>> group_options(const OciWords& words) {
  // (gid_t)-1 is no group: chown(2), setgroups(2).
  constexpr std::uint64_t kMax = UINT32_MAX - 1;
  std::vector<std::uint32_t> groups;
  for (const std::string& text : words.all("additional-gids")) {
    const auto group = parse_unsigned(text, kMax);
    if (!group) return while_doing("--additional-gids", group.error());
    groups.push_back(static_cast<std::uint32_t>(*group));
  }
  return groups;
}

Result<engine::ExecInOptions> exec_options_of(const OciWords& words) {
  engine::ExecInOptions options;
  options.process_file = words.value("process");
  options.args.assign(words.operands.begin() + 1, words.operands.end());
  // kubectl's and Podman's habit: exec ID -- COMMAND.
  if (!options.args.empty() && options.args.front() == "--") options.args.erase(options.args.begin());
  if (options.process_file.empty() && options.args.empty())
    return fail(ErrorKind::kInvalid, "process args cannot be empty: neither a command nor --process is given");
  options.cwd = words.value("cwd");
  options.env = words.all("env");
  options.tty = switch_option(words, "tty");
  options.user = words.value("user");
  options.additional_gids = TRY(group_options(words));
  options.capabilities = words.all("cap");
  options.no_new_privileges = switch_option(words, "no-new-privs");
  options.apparmor_profile = words.value("apparmor");
  options.selinux_label = words.value("process-label");
  options.console_socket = words.value("console-socket");
  options.pidfd_socket = words.value("pidfd-socket");
  options.pid_file = words.value("pid-file");
  options.cgroup = words.value("cgroup");
  options.detach = words.on("detach");
  options.ignore_paused = words.on("ignore-paused");
  const std::uint64_t preserved = TRY(unsigned_option(words, "preserve-fds", kMostDescriptors));
  options.preserve_fds = static_cast<unsigned>(preserved);
  return options;
}

}  // namespace

Result<std::uint64_t> unsigned_option(const OciWords& words, std::string_view name, std::uint64_t max) {
  if (!words.has(name)) return 0;
  const auto number = parse_unsigned(words.value(name), max);
  if (!number) return while_doing("--" + std::string(name), number.error());
  return *number;
}

Result<int> oci_create(const engine::Runtime& runtime, const OciWords& words) {
  const engine::CreateOptions options = TRY(create_options(words));
  TRY(engine::create(runtime, words.operands.front(), options));
  return 0;
}

Result<int> oci_start(const engine::Runtime& runtime, const OciWords& words) {
  TRY(engine::start(runtime, words.operands.front()));
  return 0;
}

Result<int> oci_run(const engine::Runtime& runtime, const OciWords& words) {
  engine::RunOptions options;
  options.create = TRY(create_options(words));
  options.detach = words.on("detach");
  options.keep = words.on("keep");
  options.no_subreaper = words.on("no-subreaper");
  return engine::run(runtime, words.operands.front(), options);
}

Result<int> oci_state(const engine::Runtime& runtime, const OciWords& words) {
  report::ListedContainer container;
  container.state = TRY(engine::container_state(runtime, words.operands.front()));
  container.owner = owner_name(container.state.record.owner);
  TRY(write_out(report::container_json(container)));
  return 0;
}

Result<int> oci_kill(const engine::Runtime& runtime, const OciWords& words) {
  const int signal = TRY(parse_signal(words.operands.size() > 1 ? words.operands[1] : "TERM"));
  TRY(engine::kill(runtime, words.operands.front(), signal, {.all = words.on("all"), .regex = words.on("regex")}));
  return 0;
}

Result<int> oci_delete(const engine::Runtime& runtime, const OciWords& words) {
  engine::DeleteOptions options;
  options.force = words.on("force");
  options.regex = words.on("regex");
  // Not in the log, of which Podman wants exactly one object.
  options.warn = [](const std::string& message) { write_error("warning: " + message); };
  TRY(engine::remove(runtime, words.operands.front(), options));
  return 0;
}

Result<int> oci_pause(const engine::Runtime& runtime, const OciWords& words) {
  TRY(engine::pause(runtime, words.operands.front()));
  return 0;
}

Result<int> oci_resume(const engine::Runtime& runtime, const OciWords& words) {
  TRY(engine::resume(runtime, words.operands.front()));
  return 0;
}

Result<int> oci_exec(const engine::Runtime& runtime, const OciWords& words) {
  const engine::ExecInOptions options = TRY(exec_options_of(words));
  return engine::exec_in(runtime, words.operands.front(), options);
}

}  // namespace clawrun::cli
