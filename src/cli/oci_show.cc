#include <fcntl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/text.h"
#include "cli/oci_functions.h"
#include "cli/oci_owner.h"
#include "cli/oci_values.h"
#include "cli/oci_verbs.h"
#include "cli/output.h"
#include "oci/spec.h"
#include "report/containers.h"
#include "sys/sys.h"

namespace clawrun::cli {

namespace {

Result<std::vector<report::ListedContainer>> all_containers(const engine::Runtime& runtime) {
  std::vector<state::ContainerState> states = TRY(engine::containers(runtime));
  std::vector<report::ListedContainer> containers;
  containers.reserve(states.size());
  for (state::ContainerState& state : states) {
    const std::uint32_t owner = state.record.owner;
    containers.push_back({std::move(state), owner_name(owner)});
  }
  return containers;
}

std::string ids_of(const std::vector<report::ListedContainer>& containers) {
  std::string text;
  for (const report::ListedContainer& container : containers) text += container.state.record.id + "\n";
  return text;
}

// statfs(2): cgroup v2 alone, rather than beside hierarchies of v1.
bool is_unified_cgroup() {
  constexpr long kCgroup2 = 0x63677270;
  struct statfs place {};
  return ::statfs("/sys/fs/cgroup", &place) == 0 && place.f_type == kCgroup2;
}

}  // namespace

Result<OciFormat> format_option(const OciWords& words) {
  const std::string format = words.value("format");
  if (!words.has("format") || format == "table") return OciFormat::kTable;
  if (format == "json") return OciFormat::kJson;
  return fail(ErrorKind::kUsage, "invalid format option: " + quoted(format) + "; table and json are known");
}

Result<int> oci_list(const engine::Runtime& runtime, const OciWords& words) {
  const OciFormat format = TRY(format_option(words));
  const auto containers = TRY(all_containers(runtime));
  if (words.on("quiet")) {
    TRY(write_out(ids_of(containers)));
  } else {
    TRY(write_out(format == OciFormat::kJson ? report::containers_json(containers) : report::containers_table(containers)));
  }
  return 0;
}

Result<std::string> listed_containers(OciListForm form) {
  const engine::Runtime runtime;
  // A caller without containers, who is most of those of `list`, has no such directory.
  if (::access(state::default_container_root().c_str(), F_OK) != 0) return std::string();
  const auto containers = TRY(all_containers(runtime));
  if (containers.empty()) return std::string();
  return form == OciListForm::kIds ? ids_of(containers) : report::containers_table(containers);
}

Result<int> oci_events(const engine::Runtime& runtime, const OciWords& words) {
  engine::EventsOptions options;
  options.stats = words.on("stats");
  if (words.has("interval")) options.interval = TRY(parse_interval(words.value("interval")));
  Result<> written;
  // A reader that went away ends the stream, and is no error.
  TRY(engine::events(runtime, words.operands.front(), options, [&](std::string_view line) {
    written = sys::write_all(STDOUT_FILENO, std::string(line) + "\n");
    return written.has_value();
  }));
  if (!written && written.error().errno_value != EPIPE) return std::unexpected(written.error());
  return 0;
}

Result<int> oci_features(const engine::Runtime&, const OciWords&) {
  std::string text = engine::features();
  if (!text.ends_with('\n')) text += '\n';
  TRY(write_out(text));
  return 0;
}

Result<int> oci_spec(const engine::Runtime&, const OciWords& words) {
  std::string name = words.value("config");
  if (name.empty()) name = words.value("file");
  if (name.empty()) name = "config.json";
  const std::string bundle = words.value("bundle");
  const std::string path = bundle.empty() || name.starts_with('/') ? name : bundle + "/" + name;
  oci::StarterOptions options;
  options.cgroup_namespace = is_unified_cgroup();
  if (words.on("rootless")) options.rootless = oci::RootlessIds{::geteuid(), ::getegid()};
  auto file = sys::open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOCTTY, 0666);
  if (!file && file.error().errno_value == EEXIST)
    return fail(ErrorKind::kInvalid, "File " + shown(name) + " exists. Remove it first");
  if (!file) return std::unexpected(file.error());
  TRY(sys::write_all(file->get(), oci::starter_config(options)));
  return 0;
}

}  // namespace clawrun::cli
