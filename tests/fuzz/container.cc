// The record of an OCI container, which `state`, `kill` and `delete` believe: what it names is signalled and removed.
#include "check.h"
#include "state/container_record.h"

namespace clawrun::fuzz {
namespace {

void expect_below_a_mount(const std::string& path) {
  expect(path.starts_with('/') && path.find('/', 1) != std::string::npos);
  expect((path + "/").find("/../") == std::string::npos && path.find('\0') == std::string::npos);
}

void expect_sound(const state::ContainerRecord& record) {
  expect(state::check_container_id(record.id).has_value());
  expect(record.init.pid >= 0 && record.maker.pid >= 0);
  if (!record.location.v2.path.empty()) expect_below_a_mount(record.location.v2.path);
  for (const auto& directory : record.location.v1) expect_below_a_mount(directory.path);
  if (!record.intel_rdt_path.empty()) expect_below_a_mount(record.intel_rdt_path);
  // What was read is what would be written, and the other way round.
  const auto text = state::container_to_text(record);
  expect(text.has_value());
  const auto again = state::parse_container(*text);
  expect(again.has_value() && again->init == record.init && again->maker == record.maker);
  expect(state::container_to_text(*again).value() == *text);
}

}  // namespace
}  // namespace clawrun::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto record = clawrun::state::parse_container(clawrun::fuzz::text_of(data, size));
  if (record)
    clawrun::fuzz::expect_sound(*record);
  else
    clawrun::fuzz::expect_clear(record.error());
  return 0;
}
