#include <algorithm>

#include "base/text.h"
#include "cli/message.h"
#include "cli/oci_functions.h"
#include "engine/checkpoint.h"

namespace clawrun::cli {

namespace {

struct ModeRow {
  std::string_view name;
  engine::CgroupsMode mode;
};

constexpr ModeRow kModes[] = {{"soft", engine::CgroupsMode::kSoft},
                              {"full", engine::CgroupsMode::kFull},
                              {"strict", engine::CgroupsMode::kStrict},
                              {"ignore", engine::CgroupsMode::kIgnore},
                              {"none", engine::CgroupsMode::kNone}};

Result<engine::CgroupsMode> cgroups_mode(const OciWords& words) {
  const std::string given = words.value("manage-cgroups-mode");
  if (given.empty()) return engine::CgroupsMode::kSoft;
  for (const ModeRow& row : kModes)
    if (row.name == given) return row.mode;
  return fail(ErrorKind::kUsage, "--manage-cgroups-mode: " + quoted(given) + "; soft, full, strict, ignore and none are known");
}

Result<engine::CriuOptions> criu_options(const OciWords& words) {
  engine::CriuOptions options;
  for (const std::string& name : words.all("empty-ns")) {
    if (name != "network") return fail(ErrorKind::kUsage, "--empty-ns: " + quoted(name) + "; network is known");
    options.empty_network = true;
  }
  options.image_path = words.value("image-path");
  options.work_path = words.value("work-path");
  options.tcp_established = words.on("tcp-established");
  options.tcp_close = words.on("tcp-close");
  options.ext_unix_sk = words.on("ext-unix-sk");
  options.shell_job = words.on("shell-job");
  options.file_locks = words.on("file-locks");
  options.lazy_pages = words.on("lazy-pages");
  options.auto_dedup = words.on("auto-dedup");
  options.link_remap = words.on("link-remap");
  options.cgroups_mode = TRY(cgroups_mode(words));
  return options;
}

Result<> set_page_server(const OciWords& words, engine::CheckpointOptions& options) {
  const std::string server = words.value("page-server");
  if (server.empty()) return {};
  const std::size_t colon = server.rfind(':');
  const bool whole = colon != std::string::npos && colon != 0;
  const auto port = parse_unsigned(whole ? std::string_view(server).substr(colon + 1) : std::string_view(), UINT16_MAX);
  if (!port) return fail(ErrorKind::kUsage, "--page-server: Use --page-server ADDRESS:PORT");
  options.page_server_address = server.substr(0, colon);
  options.page_server_port = static_cast<unsigned>(*port);
  return {};
}

Result<> set_status_fd(const OciWords& words, engine::CheckpointOptions& options) {
  const std::string given = words.value("status-fd");
  // What Go programs give for none.
  if (!words.has("status-fd") || given == "-1") return {};
  const auto fd = parse_unsigned(given, INT32_MAX);
  if (!fd) return fail(ErrorKind::kUsage, "--status-fd: " + quoted(given) + " is no descriptor");
  options.status_fd = static_cast<int>(*fd);
  return {};
}

}  // namespace

Result<int> oci_checkpoint(const engine::Runtime& runtime, const OciWords& words) {
  engine::CheckpointOptions options;
  options.criu = TRY(criu_options(words));
  options.parent_path = words.value("parent-path");
  options.leave_running = words.on("leave-running");
  options.pre_dump = words.on("pre-dump");
  options.tcp_skip_in_flight = words.on("tcp-skip-in-flight");
  TRY(set_page_server(words, options));
  TRY(set_status_fd(words, options));
  if (options.pre_dump && options.criu.lazy_pages)
    return fail(ErrorKind::kUsage, "--pre-dump and --lazy-pages exclude each other");
  TRY(engine::checkpoint(runtime, words.operands.front(), options));
  return 0;
}

Result<int> oci_restore(const engine::Runtime& runtime, const OciWords& words) {
  if (words.on("no-pivot")) return fail(ErrorKind::kUnsupported, "--no-pivot: CRIU changes the root, and always by pivot_root(2)");
  engine::RestoreOptions options;
  options.criu = TRY(criu_options(words));
  options.bundle = words.value("bundle");
  options.console_socket = words.value("console-socket");
  options.pid_file = words.value("pid-file");
  options.lsm_profile = words.value("lsm-profile");
  options.lsm_mount_context = words.value("lsm-mount-context");
  options.detach = words.on("detach");
  options.no_subreaper = words.on("no-subreaper");
  options.warn = [](const std::string& message) { write_error("warning: " + message); };
  return engine::restore(runtime, words.operands.front(), options);
}

}  // namespace clawrun::cli
