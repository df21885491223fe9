// What Docker, Podman, Buildah and containerd really write: the files of tests/oci/configs.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>

#include "base/unique_fd.h"
#include "oci/config.h"

namespace clawrun::oci {

namespace {

std::string file(const std::string& name) {
  const std::string path = std::string(CLAWRUN_SOURCE_DIR) + "/tests/oci/configs/" + name;
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  REQUIRE(fd.valid());
  std::string text;
  char buffer[4096];
  for (;;) {
    const ssize_t size = ::read(fd.get(), buffer, sizeof buffer);
    REQUIRE(size >= 0);
    if (size == 0) return text;
    text.append(buffer, static_cast<std::size_t>(size));
  }
}

Config config_file(const std::string& name) {
  const auto config = parse_config(file(name));
  CAPTURE(name);
  if (!config) FAIL(config.error().message);
  const auto checked = check_config(*config);
  if (!checked) FAIL(checked.error().message);
  return *config;
}

const Mount& mount_at(const Config& config, std::string_view destination) {
  const auto found = std::ranges::find(config.mounts, destination, &Mount::destination);
  REQUIRE(found != config.mounts.end());
  return *found;
}

std::uint64_t namespaces_of(const Config& config) {
  std::uint64_t flags = 0;
  for (const Namespace& space : config.linux.namespaces) flags |= space.flag;
  return flags;
}

constexpr std::uint64_t kUsualNamespaces = CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS;

}  // namespace

TEST_CASE("oci real: docker run") {
  const Config config = config_file("docker-run-config.json");
  CHECK(config.oci_version == "1.0.2-dev");
  CHECK(config.process->args == std::vector<std::string>{"/sbin/docker-init", "--", "sleep", "100"});
  CHECK(config.process->no_new_privileges);
  CHECK(config.process->oom_score_adj == 0);
  CHECK(config.process->user.additional_gids == std::vector<std::uint32_t>{0});
  CHECK(config.process->capabilities->bounding == 0xa80425fb);
  CHECK(config.process->capabilities->inheritable == 0);
  CHECK(config.process->capabilities->permitted == 0xa80425fb);
  CHECK(config.process->unknown_capabilities.empty());
  CHECK(config.process->rlimits.at(0).resource == RLIMIT_NOFILE);
  CHECK(config.process->rlimits.at(0).soft == 100);
  CHECK(config.mounts.size() == 13);
  CHECK(mount_at(config, "/v").options.flags == (MS_BIND | MS_REC | MS_RDONLY));
  CHECK(mount_at(config, "/v").options.propagation == (MS_PRIVATE | MS_REC));
  CHECK(mount_at(config, "/dev/pts").options.data == "newinstance,ptmxmode=0666,mode=0620,gid=5");
  CHECK(mount_at(config, "/sys/fs/cgroup").type == "cgroup");
  CHECK(config.hooks.prestart.at(0).path == "/proc/1/exe");
  CHECK(config.hooks.prestart.at(0).args.size() == 4);
  CHECK(namespaces_of(config) == kUsualNamespaces);
  const Resources& resources = *config.linux.resources;
  CHECK(resources.devices.size() == 8);
  CHECK(resources.devices[0].type == 'a');
  CHECK(resources.memory->limit == 67108864);
  CHECK(resources.memory->swap == 134217728);
  CHECK(resources.memory->disable_oom_killer == false);
  CHECK_FALSE(resources.cpu->shares);
  CHECK(resources.cpu->quota == 50000);
  CHECK(resources.pids_limit == 50);
  CHECK_FALSE(resources.block_io->weight);
  CHECK(config.linux.sysctl.at("net.ipv4.ping_group_range") == "0 2147483647");
  const Seccomp& seccomp = *config.linux.seccomp;
  CHECK(seccomp.default_action == "SCMP_ACT_ERRNO");
  CHECK(seccomp.architectures.size() == 3);
  CHECK(seccomp.syscalls.size() == 12);
  CHECK(seccomp.syscalls[0].names.size() > 300);
  CHECK(seccomp.syscalls[6].args.at(0).value == 4294967295);
  CHECK(seccomp.syscalls[10].errno_ret == 38U);
  CHECK(config.linux.masked_paths.size() == 10);
  CHECK(config.linux.readonly_paths.size() == 5);
}

TEST_CASE("oci real: docker with a user namespace, and a newer docker") {
  const Config remapped = config_file("docker-userns-remap-config.json");
  CHECK(namespaces_of(remapped) == (kUsualNamespaces | CLONE_NEWUSER));
  CHECK(remapped.linux.uid_mappings.at(0).host_id == 100000);
  CHECK(remapped.linux.gid_mappings.at(0).size == 65536);

  const Config newer = config_file("docker26-run-config.json");
  CHECK(newer.oci_version == "1.2.0");
  CHECK(newer.linux.seccomp->default_errno_ret == 1U);
  CHECK(newer.linux.resources->devices.size() == 16);
  CHECK(newer.linux.resources->block_io);
}

TEST_CASE("oci real: podman and buildah") {
  const Config rootful = config_file("podman-rootful-config.json");
  CHECK(rootful.process->user.umask == 18U);
  CHECK(rootful.process->rlimits.size() == 2);
  CHECK(rootful.annotations.at("io.container.manager") == "libpod");
  CHECK(rootful.linux.resources->pids_limit == 2048);
  CHECK(rootful.linux.seccomp->default_errno_ret == 38U);
  CHECK(mount_at(rootful, "/dev/shm").options.flags == (MS_BIND | MS_NOSUID | MS_NOEXEC | MS_NODEV));
  CHECK(mount_at(rootful, "/sys/fs/cgroup").options.flags == (MS_RDONLY | MS_NOSUID | MS_NOEXEC | MS_NODEV | MS_RELATIME));

  const Config rootless = config_file("podman-rootless-config.json");
  CHECK(rootless.linux.cgroups_path.empty());
  CHECK(rootless.linux.resources);
  CHECK(rootless.linux.resources->devices.empty());
  CHECK((namespaces_of(rootless) & CLONE_NEWUSER) == 0);

  const Config newer = config_file("podman5-rootful-config.json");
  CHECK(newer.annotations.at("org.systemd.property.TimeoutStopUSec") == "uint64 10000000");
  CHECK(newer.linux.resources->memory->limit == 67108864);

  CHECK_FALSE(config_file("buildah-run-config.json").process->args.empty());
}

TEST_CASE("oci real: containerd's ctr") {
  const Config config = config_file("ctr-run-config.json");
  CHECK(config.linux.cgroups_path == "machine.slice:foo:bar");
  CHECK(config.root.path == "rootfs");
  CHECK(config.linux.resources->cpu->shares == 1024U);
  const DeviceCgroupRule& pts = config.linux.resources->devices.at(8);
  CHECK(pts.major == 136);
  CHECK_FALSE(pts.minor);
  CHECK_FALSE(config.linux.seccomp);
}

TEST_CASE("oci real: exec and update") {
  const auto docker = parse_process(file("docker-exec-process.json"));
  REQUIRE(docker);
  CHECK(docker->args == std::vector<std::string>{"true"});
  CHECK(docker->capabilities->effective == 0xa80425fb);
  const auto podman = parse_process(file("podman-exec-process.json"));
  REQUIRE(podman);
  CHECK(podman->env.size() == 4);
  CHECK(podman->rlimits.size() == 2);
  const auto update = parse_resources(file("docker-update-resources.json"));
  REQUIRE(update);
  CHECK(update->memory->limit == 83886080);
  CHECK_FALSE(update->memory->reservation);
  CHECK_FALSE(update->cpu->shares);
  CHECK(update->cpu->period == 100000U);
}

}  // namespace clawrun::oci
