// config.json of an OCI bundle, process.json of `exec`, the resources of `update`: each text is read as all three.
#include "oci/config.h"

#include "check.h"

namespace clawrun::fuzz {
namespace {

void expect_sound(const oci::Process& process) {
  expect(!process.args.empty());
  expect(process.cwd.starts_with('/'));
  for (const std::string& text : process.args) expect(text.find('\0') == std::string::npos);
  for (const std::string& text : process.env) expect(text.find('\0') == std::string::npos);
  for (const oci::Rlimit& rlimit : process.rlimits) expect(rlimit.soft <= rlimit.hard);
}

void expect_sound(const oci::Resources& resources) {
  for (const auto& [name, value] : resources.unified) expect(name.find('/') == std::string::npos);
  for (const oci::HugepageLimit& limit : resources.hugepage_limits) expect(limit.page_size.find('/') == std::string::npos);
}

void expect_sound(const oci::Config& config) {
  expect(config.oci_version.starts_with("1."));
  expect(!config.root.path.empty());
  for (const oci::Mount& mount : config.mounts) {
    expect(mount.destination.starts_with('/'));
    expect((mount.options.flags & mount.options.cleared_flags) == 0);
    expect(mount.uid_mappings.empty() == mount.gid_mappings.empty());
  }
  for (const auto& [key, value] : config.linux.sysctl) {
    expect(key.find('/') == std::string::npos && key.find("..") == std::string::npos);
    expect(value.find('\n') == std::string::npos);
  }
  for (const oci::Device& device : config.linux.devices) expect(device.path.starts_with('/'));
  if (const auto checked = oci::check_config(config); !checked) expect_clear(checked.error());
  if (config.process) expect_sound(*config.process);
  if (config.linux.resources) expect_sound(*config.linux.resources);
}

template <typename T>
void expect_sound_or_clear(const Result<T>& result) {
  if (result)
    expect_sound(*result);
  else
    expect_clear(result.error());
}

}  // namespace
}  // namespace clawrun::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto text = clawrun::fuzz::text_of(data, size);
  clawrun::fuzz::expect_sound_or_clear(clawrun::oci::parse_config(text));
  clawrun::fuzz::expect_sound_or_clear(clawrun::oci::parse_process(text));
  clawrun::fuzz::expect_sound_or_clear(clawrun::oci::parse_resources(text));
  return 0;
}
