#include "engine/container_bundle.h"

#include <sys/stat.h>

#include <cstdlib>
#include <ctime>
#include <utility>

#include "base/text.h"
#include "cgroup/container_place.h"
#include "oci/resources.h"
#include "sys/sys.h"

namespace clawrun::engine {

namespace {

Result<std::string> absolute(const std::string& path) {
  char* resolved = ::realpath(path.empty() ? "." : path.c_str(), nullptr);
  if (resolved == nullptr) return fail_errno(quoted(path));
  std::string text = resolved;
  ::free(resolved);
  return text;
}

}  // namespace

std::string now() {
  timespec time{};
  ::clock_gettime(CLOCK_REALTIME, &time);
  std::tm parts{};
  ::gmtime_r(&time.tv_sec, &parts);
  char text[64];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
  char digits[16];
  std::snprintf(digits, sizeof digits, ".%09ldZ", time.tv_nsec);
  return std::string(text) + digits;
}

Result<Bundle> read_bundle(const std::string& directory, const std::string& config_file) {
  Bundle bundle;
  auto path = absolute(directory);
  if (!path) return while_doing("bundle", path.error());
  bundle.path = std::move(*path);
  const std::string file = config_file.empty() ? bundle.path + "/config.json" : config_file;
  auto text = sys::read_file(file, oci::kMaxConfigBytes);
  if (!text && text.error().errno_value == ENOENT)
    return fail(ErrorKind::kInvalid, "JSON specification file " + shown(file) + " not found");
  if (!text) return std::unexpected(std::move(text).error());
  bundle.text = std::move(*text);
  bundle.config = TRY(oci::parse_config(bundle.text));
  TRY(oci::check_config(bundle.config));
  const std::string root =
      bundle.config.root.path.starts_with('/') ? bundle.config.root.path : bundle.path + "/" + bundle.config.root.path;
  auto rootfs = absolute(root);
  if (!rootfs) return while_doing("invalid rootfs: root.path", rootfs.error());
  bundle.rootfs = std::move(*rootfs);
  struct stat info {};
  if (::stat(bundle.rootfs.c_str(), &info) != 0) return fail_errno("invalid rootfs: root.path " + quoted(bundle.rootfs));
  if (!S_ISDIR(info.st_mode))
    return fail(ErrorKind::kInvalid, "invalid rootfs: root.path " + quoted(bundle.rootfs) + " is not a directory");
  return bundle;
}

Result<cgroup::Place> find_place(const Runtime& runtime, const std::string& id, const oci::Config& config,
                                 const cgroup::Limits& limits) {
  cgroup::ContainerPlaceRequest request;
  request.driver =
      runtime.cgroup_manager == CgroupManager::kSystemd ? cgroup::DriverChoice::kSystemd : cgroup::DriverChoice::kCgroupfs;
  request.path = config.linux.cgroups_path;
  request.id = id;
  request.limits = &limits;
  request.description = "clawrun container " + id;
  request.properties = oci::systemd_properties_of(config.annotations);
  const cgroup::View view = TRY(cgroup::current_view());
  return cgroup::find_container_place(view, request);
}

}  // namespace clawrun::engine
