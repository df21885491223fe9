#include <doctest/doctest.h>

#include <initializer_list>
#include <string>
#include <vector>

#include "cli/oci_verbs.h"

namespace clawrun::cli {

namespace {

// Ids that no container has: what is left to the words alone.
bool routed(std::string_view verb, std::initializer_list<const char*> given, bool global = false) {
  std::vector<std::string> storage(given.begin(), given.end());
  std::vector<char*> words;
  for (std::string& word : storage) words.push_back(word.data());
  OciGlobals globals;
  globals.given = global;
  return is_for_container(verb, words, globals);
}

Result<OciGlobals> globals_of(std::initializer_list<const char*> given) {
  static std::vector<std::string> storage;
  storage.assign(given.begin(), given.end());
  std::vector<char*> words;
  for (std::string& word : storage) words.push_back(word.data());
  OciGlobals globals;
  if (auto read = read_oci_globals(words, globals); !read) return std::unexpected(read.error());
  return globals;
}

}  // namespace

TEST_CASE("exec: a sandbox behind --, a container by its options") {
  CHECK_FALSE(routed("exec", {"--", "ls"}));
  CHECK_FALSE(routed("exec", {"--memory", "64m", "--env", "A=1", "--", "ls", "--process"}));
  CHECK_FALSE(routed("exec", {"-t", "--", "ls"}));
  CHECK_FALSE(routed("exec", {"no..such", "ls"}));
  CHECK_FALSE(routed("exec", {"--tty", "no..such", "ls"}));
  CHECK_FALSE(routed("exec", {"--memory", "64m", "--detach", "no..such", "ls"}));
  CHECK_FALSE(routed("exec", {"--help"}));
  CHECK_FALSE(routed("exec", {}));
  // What engines write.
  CHECK(routed("exec", {"--pid-file", "/p", "--process", "/s", "--detach", "no..such"}));
  CHECK(routed("exec", {"--process=/s", "no..such"}));
  CHECK(routed("exec", {"-td", "no..such", "sh"}));
  CHECK(routed("exec", {"--detach", "no..such", "--", "sh"}));
  // The value of an option is no separator.
  CHECK(routed("exec", {"--process", "--", "no..such"}));
  CHECK(routed("exec", {"--", "ls"}, true));
}

TEST_CASE("list, update, pause, resume: of sandboxes unless something says otherwise") {
  CHECK_FALSE(routed("list", {}));
  CHECK_FALSE(routed("list", {"-q"}));
  CHECK_FALSE(routed("list", {"--json"}));
  CHECK_FALSE(routed("list", {"--frobnicate"}));
  CHECK(routed("list", {"-f", "json"}));
  CHECK(routed("list", {"-q", "--format=table"}));
  CHECK(routed("list", {}, true));
  CHECK_FALSE(routed("update", {"no..such", "--memory", "1g"}));
  CHECK_FALSE(routed("update", {"no..such", "--cpus", "1"}));
  CHECK(routed("update", {"no..such", "--cpu-quota", "-1"}));
  CHECK(routed("update", {"-r", "-", "no..such"}));
  for (const char* verb : {"pause", "resume", "stats"}) {
    CHECK_FALSE(routed(verb, {"no..such"}));
    CHECK_FALSE(routed(verb, {"../../../etc"}));
    CHECK_FALSE(routed(verb, {".."}));
    CHECK_FALSE(routed(verb, {""}));
    CHECK(routed(verb, {"no..such"}, true));
  }
}

TEST_CASE("what stands before the verb") {
  const auto none = globals_of({"state", "--root", "x"});
  REQUIRE(none);
  CHECK_FALSE(none->given);
  CHECK(none->verb_at == 0);

  const auto podman =
      globals_of({"--systemd-cgroup", "--cgroup-manager", "disabled", "--root=/r", "--rootless", "true", "start", "x"});
  REQUIRE(podman);
  CHECK(podman->given);
  CHECK(podman->verb_at == 6);
  CHECK(podman->runtime.root == "/r");
  CHECK(podman->runtime.cgroup_manager == engine::CgroupManager::kDisabled);
  CHECK(podman->runtime.rootless == true);

  CHECK(globals_of({"--systemd-cgroup", "list"})->runtime.cgroup_manager == engine::CgroupManager::kSystemd);
  CHECK(globals_of({"--systemd-cgroup=false", "list"})->runtime.cgroup_manager == engine::CgroupManager::kCgroupfs);
  CHECK(globals_of({"--root", "r", "list"})->runtime.root.starts_with("/"));
  CHECK_FALSE(globals_of({"--rootless", "auto", "list"})->runtime.rootless);
  CHECK_FALSE(globals_of({"--cgroup-manager", "", "list"}));
  CHECK_FALSE(globals_of({"--log", "/no..such/log", "list"}));
}

}  // namespace clawrun::cli
