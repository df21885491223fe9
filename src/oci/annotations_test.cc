#include "oci/annotations.h"

#include <doctest/doctest.h>

#include <algorithm>

namespace clawrun::oci {

namespace {

Result<Annotated> read(const std::string& name, const std::string& value) {
  Config config;
  config.annotations[name] = value;
  return annotations_of(config);
}

std::string error_of(const std::string& name, const std::string& value) {
  const auto annotated = read(name, value);
  return annotated ? "" : annotated.error().message;
}

}  // namespace

TEST_CASE("an annotation is taken at its word") {
  CHECK(read("run.oci.hooks.stdout", "/a b")->hooks_stdout == "/a b");
  CHECK(read("run.oci.hooks.stderr", "/e")->hooks_stderr == "/e");
  CHECK(read("run.oci.pidfd_receiver", "/s")->pidfd_receiver == "/s");
  CHECK(read("run.oci.seccomp.receiver", "/s")->seccomp_receiver == "/s");
  CHECK(read("run.oci.keep_original_groups", "1")->keeps_groups);
  CHECK_FALSE(read("run.oci.keep_original_groups", "0")->keeps_groups);
  CHECK(read("run.oci.seccomp_fail_unknown_syscall", "1")->fails_unknown_syscall);
  CHECK(read("run.oci.mount_context_type", "rootcontext")->mount_context == "rootcontext");
  const auto none = annotations_of({});
  REQUIRE(none);
  CHECK(none->mount_context == "context");
  CHECK_FALSE(none->keeps_groups);
  CHECK_FALSE(none->seccomp_program);
}

TEST_CASE("one that nobody knows is ignored, and what it is for is nobody's guess") {
  for (const char* name : {"run.oci.unheard", "krun.cpus", "org.example.run.oci.handler", "RUN.OCI.HANDLER"})
    CHECK(read(name, "anything"));
}

TEST_CASE("a value that cannot be is an error with the annotation's name") {
  for (const char* name : {"run.oci.hooks.stdout", "run.oci.hooks.stderr", "run.oci.pidfd_receiver", "run.oci.seccomp.receiver"})
    for (const char* value : {"", "a", "./a"})
      CHECK(error_of(name, value) == std::string("annotations[\"") + name + "\"]: \"" + value + "\" is not an absolute path");
  for (const char* name : {"run.oci.keep_original_groups", "run.oci.seccomp_fail_unknown_syscall"})
    for (const char* value : {"", "true", "01", "1 ", "-1"})
      CHECK(error_of(name, value) == std::string("annotations[\"") + name + "\"]: \"" + value + "\" is neither 1 nor 0");
  CHECK(error_of("run.oci.mount_context_type", "fscontext=x,suid").ends_with("context, fscontext, defcontext, rootcontext"));
}

TEST_CASE("what clawrun does not do is refused with the reason, unless it asks for nothing") {
  for (const char* name : {"run.oci.delegate-cgroup", "run.oci.seccomp.plugins", "run.oci.systemd.force_cgroup_v1",
                           "run.oci.systemd.subgroup", "run.oci.timens_offset"}) {
    CHECK(read(name, ""));
    const auto refused = read(name, "x");
    REQUIRE_FALSE(refused);
    CHECK(refused.error().kind == ErrorKind::kUnsupported);
    CHECK(refused.error().message.starts_with(std::string("annotations[\"") + name + "\"]: \"x\" is not supported: "));
  }
  CHECK(read("run.oci.handler", "clawrun"));
  for (const char* handler : {"krun", "wasm", "", "Clawrun"}) CHECK_FALSE(read("run.oci.handler", handler));
}

TEST_CASE("a filter as bytes is whole instructions in base64") {
  const auto one = read("run.oci.seccomp_bpf_data", "BgAAAAAA/38=");  // ret ALLOW
  REQUIRE_MESSAGE(one, (one ? "" : one.error().message));
  REQUIRE(one->seccomp_program->size() == 1);
  CHECK(one->seccomp_program->front().code == 6);
  CHECK(one->seccomp_program->front().k == 0x7fff0000);
  for (const char* value : {"BgAAAAAA/38", "BgAAAAAA/39=", "BgAAAAAA-38=", "BgAA AAA/38=", "====", "=", "B===", "BgAAAAAA/38=\n"})
    CHECK_MESSAGE(error_of("run.oci.seccomp_bpf_data", value).ends_with("is not base64"), value);
  for (const char* value : {"", "BgAA", "BgAAAAAA/38A"})
    CHECK_MESSAGE(error_of("run.oci.seccomp_bpf_data", value).find("instructions of 8 bytes each") != std::string::npos, value);
  const std::string three_instructions(32, 'A');  // 24 bytes
  std::string many;
  for (int i = 0; i < 4096 / 3; ++i) many += three_instructions;
  CHECK(read("run.oci.seccomp_bpf_data", many));
  CHECK_FALSE(read("run.oci.seccomp_bpf_data", many + three_instructions));
}

TEST_CASE("what is unsafe is listed, in order") {
  const auto names = unsafe_annotations();
  CHECK(std::ranges::is_sorted(names));
  CHECK(std::ranges::find(names, "run.oci.hooks.stdout") != names.end());
  CHECK(std::ranges::find(names, "run.oci.handler") == names.end());
}

}  // namespace clawrun::oci
